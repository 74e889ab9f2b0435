// The real sandbox as a process of its own, on a directory and a port of its own: started, killed and started again.
//
// It ends only processes that it started, by their ids. Azurite is not killed: the next start adopts it, and at the end all is stopped by
// SIGTERM, Azurite included, and the directory is removed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const api = { Authorization: 'Bearer sk_test_harbour_demo', 'Content-Type': 'application/json' };

export class Sandbox {
  /** What was found to be wrong; a run without any is a good one. */
  wrong = [];

  static async create(name) {
    const sandbox = new Sandbox();
    sandbox.dll = process.env.CRASH_SANDBOX ?? build();
    sandbox.data = mkdtempSync(join(tmpdir(), `harbour-${name}-`));
    sandbox.port = await freePort();
    sandbox.url = `http://localhost:${sandbox.port}`;
    return sandbox;
  }

  /** Starts the sandbox and waits until it serves. */
  async start() {
    const log = openSync(join(this.data, 'host.log'), 'a');
    const child = spawn('dotnet', [this.dll], { env: { ...process.env, SANDBOX_DATA: this.data, SANDBOX_PORT: String(this.port) }, stdio: ['ignore', log, log] });
    this.host = { child, ended: new Promise(resolve => child.once('exit', resolve)) };
    for (const since = Date.now(); Date.now() - since < 60_000; await wait(50)) {
      if (child.exitCode !== null) throw new Error(`The sandbox ended with ${child.exitCode}; ${join(this.data, 'host.log')} says why.`);
      if (await fetch(`${this.url}/healthz`).then(response => response.ok, () => false)) return;
    }
    throw new Error(`The sandbox does not serve; ${join(this.data, 'host.log')} says why.`);
  }

  async end(signal) {
    if (!this.host || this.host.child.exitCode !== null || this.host.child.signalCode !== null) return;
    this.host.child.kill(signal);
    await this.host.ended;
  }

  /** Stops all that was started; the directory stays when something is wrong. */
  async stop() {
    await this.end('SIGTERM').catch(error => this.wrong.push(error.message));
    const identity = join(this.data, 'azurite', 'azurite.json');
    if (existsSync(identity)) {
      const { Pid: id } = JSON.parse(readFileSync(identity, 'utf8'));
      try {
        process.kill(id, 'SIGTERM');
        this.wrong.push(`Azurite (process ${id}) was still there when the sandbox had ended`);
      } catch {
        // The sandbox ended it, as it should.
      }
    }
    if (this.wrong.length === 0) rmSync(this.data, { recursive: true, force: true });
  }

  /** Says how it went, and ends this process accordingly. */
  report(summary) {
    console.log(summary);
    for (const line of this.wrong.slice(0, 40)) console.error(`WRONG: ${line}`);
    if (this.wrong.length > 0) console.error(`${this.wrong.length} things are wrong; the data and the log are in ${this.data}`);
    process.exit(this.wrong.length === 0 ? 0 : 1);
  }

  async get(path) {
    return (await fetch(this.url + path, { headers: api })).json();
  }

  async post(path, body, key) {
    const response = await fetch(this.url + path, { method: 'POST', headers: key ? { ...api, 'Idempotency-Key': key } : api, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Sends a POST and takes whatever comes; undefined when nothing did. */
  async try(path, body, key) {
    try {
      const response = await fetch(this.url + path, { method: 'POST', headers: { ...api, 'Idempotency-Key': key }, body: JSON.stringify(body), signal: AbortSignal.timeout(60_000) });
      return { status: response.status, text: await response.text() };
    } catch {
      return undefined;
    }
  }

  async list(path) {
    const found = [];
    for (let cursor = ''; ;) {
      const page = await this.get(`${path}?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      found.push(...page.data);
      if (!page.has_more) return found;
      cursor = page.next_cursor;
    }
  }

  /** The provider's books and ours, payment by payment. */
  async compareWithProvider() {
    const charges = await this.list('/v1/charges');
    const payments = (await this.get('/sandbox/providers/stripe/payments')).data;
    const byCharge = group(payments, payment => payment.charge);
    const ours = new Set(charges.map(charge => charge.id));
    for (const [id, taken] of byCharge) {
      if (taken.length > 1) this.wrong.push(`the provider has ${taken.length} payments of ${id}`);
      if (!ours.has(id)) this.wrong.push(`the provider has a payment of ${id}, which we do not know`);
    }
    for (const charge of charges) {
      const theirs = byCharge.get(charge.id)?.[0];
      if (charge.status === 'failed' && (!theirs || theirs.status === 'failed' || theirs.amount_captured === theirs.amount_refunded)) continue;
      for (const field of ['status', 'amount', 'amount_captured', 'amount_refunded', 'currency'])
        if (theirs?.[field] !== charge[field]) this.wrong.push(`${charge.id}: ${field} is ${charge[field]} here and ${theirs?.[field]} at the provider`);
    }
    return { charges, payments };
  }
}

export function group(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...groups.get(keyOf(item)) ?? [], item]);
  return groups;
}

function build() {
  const built = spawnSync('dotnet', ['build', join(root, 'sandbox'), '-v', 'quiet', '--nologo'], { stdio: 'inherit' });
  if (built.status !== 0) process.exit(built.status ?? 1);
  return join(root, 'sandbox', 'bin', 'Debug', 'net10.0', 'Harbour.Sandbox.dll');
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
}
