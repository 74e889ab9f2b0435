using Azure.Data.Tables;
using Cronos;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Runtime;

/// <summary>
/// A timer function and its schedule. As in the real host a schedule of a minute or more is monitored: its status is kept,
/// and a run that was missed while the host was down happens once at the next start, marked as past due. Runs that were
/// skipped because time leapt are made up by one, not marked.
/// </summary>
internal sealed class TimerFunction
{
    private const string Partition = "timers";

    private readonly Function _function;
    private readonly TimerTriggerAttribute _trigger;
    private readonly CronExpression _schedule;
    private readonly FunctionRunner _runner;
    private readonly TableClient _table;
    private readonly ILogger _logger;
    private ScheduleStatus? _status;
    private bool _missed;
    private bool _unsaved;

    public TimerFunction(Function function, TimerTriggerAttribute trigger, FunctionRunner runner, TableClient table, ILogger logger)
    {
        (_function, _trigger, _runner, _table, _logger) = (function, trigger, runner, table, logger);
        if (!CronExpression.TryParse(trigger.Schedule, CronFormat.IncludeSeconds, out _schedule!))
            throw new InvalidOperationException($"Timer function {function.Name}: '{trigger.Schedule}' is no cron expression of six fields.");
    }

    public string Name => _function.Name;

    /// <summary>The next moment at which it is due; null where the schedule has none.</summary>
    public DateTimeOffset? NextDue { get; private set; }

    /// <summary>The run that real time started and that has not ended: a timer function never overlaps itself.</summary>
    public Task Running { get; set; } = Task.CompletedTask;

    public async Task StartAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        NextDue = After(now);
        if (_trigger.UseMonitor && IsMonitored(now))
        {
            _status = await ReadStatusAsync(cancellation);
            _missed = _status is not null && _status.Next <= now.UtcDateTime;
            _status ??= await WriteStatusAsync(new() { Next = ToUtc(NextDue), LastUpdated = now.UtcDateTime }, cancellation);
        }

        if (_missed || _trigger.RunOnStartup) NextDue = now;
    }

    /// <summary>Runs it once, whatever it missed. A failure is logged and the schedule goes on, as in the real host.</summary>
    /// <param name="save">False where <see cref="SaveAsync"/> follows soon, and one write is enough for many runs.</param>
    public async Task RunAsync(DateTimeOffset now, CancellationToken cancellation, bool save = true)
    {
        var info = new TimerInfo { IsPastDue = _missed, ScheduleStatus = _status };
        _missed = false;
        NextDue = After(now);
        try
        {
            await _runner.RunAsync(_function, info, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return;
        }
        catch (Exception e)
        {
            _logger.LogError(e, "Timer function {Function} failed", Name);
        }

        if (_status is null) return;
        _status = new() { Last = now.UtcDateTime, Next = ToUtc(NextDue), LastUpdated = now.UtcDateTime };
        _unsaved = true;
        if (save) await SaveAsync(cancellation);
    }

    /// <summary>Writes the status of the last run, unless it is written already.</summary>
    public async Task SaveAsync(CancellationToken cancellation)
    {
        if (!_unsaved) return;
        await WriteStatusAsync(_status!, cancellation);
        _unsaved = false;
    }

    private DateTimeOffset? After(DateTimeOffset moment) => _schedule.GetNextOccurrence(moment, TimeZoneInfo.Utc);

    private bool IsMonitored(DateTimeOffset now) => After(now) is { } first && After(first) is { } second && second - first >= TimeSpan.FromMinutes(1);

    private static DateTime ToUtc(DateTimeOffset? moment) => moment?.UtcDateTime ?? DateTime.MaxValue;

    private async Task<ScheduleStatus?> ReadStatusAsync(CancellationToken cancellation)
    {
        var row = await _table.GetEntityIfExistsAsync<TableEntity>(Partition, Name, cancellationToken: cancellation);
        if (!row.HasValue || row.Value!.GetString("Schedule") != _trigger.Schedule) return null;
        DateTime Time(string column) => new(row.Value.GetInt64(column)!.Value, DateTimeKind.Utc);
        return new() { Last = Time("Last"), Next = Time("Next"), LastUpdated = Time("LastUpdated") };
    }

    private async Task<ScheduleStatus> WriteStatusAsync(ScheduleStatus status, CancellationToken cancellation)
    {
        var row = new TableEntity(Partition, Name)
        {
            ["Schedule"] = _trigger.Schedule,
            ["Last"] = status.Last.Ticks,
            ["Next"] = status.Next.Ticks,
            ["LastUpdated"] = status.LastUpdated.Ticks,
        };
        await _table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellation);
        return status;
    }
}
