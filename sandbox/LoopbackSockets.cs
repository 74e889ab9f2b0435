using System.Net;
using System.Net.Sockets;

namespace Harbour.Sandbox;

/// <summary>
/// The sockets on which the host will listen, bound before anything else happens: a taken port is told at once rather than
/// after Azurite has started, and the address is known while the configuration is made, without a gap in which another
/// process could take the port. Loopback only: 127.0.0.1, and ::1 where the machine has it.
/// </summary>
internal sealed class LoopbackSockets : IDisposable
{
    private readonly Dictionary<EndPoint, Socket> _sockets = [];

    private LoopbackSockets(int port) => Port = port;

    public int Port { get; }

    public IEnumerable<IPEndPoint> EndPoints => _sockets.Keys.Cast<IPEndPoint>();

    public static LoopbackSockets Bind(int port)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return TryBind(port);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Any free port of IPv4 may be taken on IPv6; then another one is asked for.
                if (port != 0 || attempt == 20) throw new SandboxException($"Port {port} is taken. Stop what listens there, or set SANDBOX_PORT to another one.");
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AccessDenied)
            {
                throw new SandboxException($"Port {port} may not be used by this user. Set SANDBOX_PORT to another one.");
            }
        }
    }

    /// <summary>Hands a socket to the web server, which owns it from then on.</summary>
    public Socket Take(EndPoint endPoint) => _sockets.Remove(endPoint, out var socket) ? socket : throw new InvalidOperationException($"{endPoint} was not bound.");

    public void Dispose()
    {
        foreach (var socket in _sockets.Values) socket.Dispose();
    }

    private static LoopbackSockets TryBind(int port)
    {
        var first = Listen(IPAddress.Loopback, port);
        var sockets = new LoopbackSockets(((IPEndPoint)first.LocalEndPoint!).Port);
        sockets._sockets.Add(first.LocalEndPoint, first);
        try
        {
            var second = Listen(IPAddress.IPv6Loopback, sockets.Port);
            sockets._sockets.Add(second.LocalEndPoint!, second);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported)
        {
            // A machine without IPv6.
        }
        catch
        {
            sockets.Dispose();
            throw;
        }

        return sockets;
    }

    /// <summary>Listening, not merely bound: only that keeps others off the port. Who connects early waits until the host serves.</summary>
    private static Socket Listen(IPAddress address, int port)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(address, port));
            socket.Listen();
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
