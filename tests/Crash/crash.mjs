// Kills the real sandbox host under load, again and again, and checks afterwards that no money was lost or moved twice.
//
//   node tests/Crash/crash.mjs [--kills 5] [--clients 8] [--seconds 3] [--host path/to/Harbour.Sandbox.dll]
//
// The host is killed with SIGKILL; its storage (Azurite) is not, since that writes to disk only every five seconds. Each client
// repeats a request with the same Idempotency-Key until it has a final answer, as a careful merchant does.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    kills: { type: 'string', default: '5' },
    clients: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '3' },
    host: { type: 'string' },
  },
});
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const dll = options.host ?? ['Release', 'Debug'].map(c => join(root, 'sandbox', 'bin', c, 'net10.0', 'Harbour.Sandbox.dll')).find(existsSync);
if (!dll) throw new Error('Build the sandbox first: dotnet build sandbox');

const data = mkdtempSync(join(tmpdir(), 'harbour-crash-'));
const port = await freePort();
const base = `http://localhost:${port}`;
const key = 'sk_test_harbour_demo';
const operations = [];
let host;
let stopping = false;

function freePort() {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function start() {
  host = spawn('dotnet', [dll], { env: { ...process.env, SANDBOX_PORT: String(port), SANDBOX_DATA: data }, stdio: 'ignore' });
  host.exited = new Promise(resolve => host.once('exit', resolve));
  for (let tries = 0; tries < 300; tries++) {
    if (host.exitCode !== null) throw new Error(`The host ended with ${host.exitCode} before it served.`);
    try {
      if ((await fetch(`${base}/healthz`, { signal: AbortSignal.timeout(1000) })).ok) return;
    } catch {
      await sleep(100);
    }
  }
  throw new Error('The host did not come up.');
}

async function call(method, path, body, idempotencyKey) {
  const response = await fetch(base + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey ? { 'idempotency-key': idempotencyKey } : {}),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith('{') ? JSON.parse(text) : {} };
}

const read = async path => {
  const answer = await call('GET', path);
  if (answer.status !== 200) throw new Error(`GET ${path} answered ${answer.status}: ${answer.text}`);
  return answer.json;
};

/** Sends a request with one key until it is answered for good; while the host is down or busy it waits. */
async function settle(path, body) {
  const operation = { key: `op-${operations.length}`, path, body, answer: null };
  operations.push(operation);
  while (!operation.answer) {
    try {
      const answer = await call('POST', path, body, operation.key);
      if (answer.status >= 500 && answer.status !== 503) throw new Error(`${path} answered ${answer.status}: ${answer.text}`);
      if (![202, 409, 503].includes(answer.status) || answer.json.code === 'invalid_transition') operation.answer = answer;
      else if (stopping) return operation;
    } catch (error) {
      if (/answered 5/.test(error.message)) throw error;
    }
    if (!operation.answer) await sleep(100);
  }
  return operation;
}

async function client(number) {
  for (let round = 0; !stopping; round++) {
    const manual = (number + round) % 3 === 0;
    const charge = await settle('/v1/charges', {
      amount: 1000 + number * 100 + (round % 7) * 10, currency: 'HKD', reference: `client-${number}`,
      payment_method: { type: 'card', token: round % 9 === 8 ? 'tok_declined' : 'tok_visa' }, capture_method: manual ? 'manual' : 'automatic',
    });
    if (charge.answer?.status !== 201) continue;
    const id = charge.answer.json.id;
    if (manual) await settle(`/v1/charges/${id}/capture`, { amount: 900 });
    if (round % 2 === 0 && !stopping) await settle(`/v1/charges/${id}/refunds`, { amount: 300 });
  }
}

async function all(path) {
  const rows = [];
  for (let cursor = ''; cursor !== null;) {
    const page = await read(`${path}${path.includes('?') ? '&' : '?'}limit=100${cursor && `&cursor=${cursor}`}`);
    rows.push(...page.data);
    cursor = page.next_cursor;
  }
  return rows;
}

function check(condition, message) {
  if (!condition) throw new Error(message);
}

async function verify() {
  const advance = await call('POST', '/sandbox/clock/advance', { by: '24:00:00' });
  check(advance.status === 200, `The clock did not advance: ${advance.text}`);
  for (const operation of operations) {
    const first = operation.answer ?? await call('POST', operation.path, operation.body, operation.key);
    const again = await call('POST', operation.path, operation.body, operation.key);
    if (first.json.code === 'invalid_transition') continue;
    check(![202, 409, 503].includes(first.status), `${operation.key} has no final answer: ${first.status} ${first.text}`);
    check(first.text === again.text && first.status === again.status, `${operation.key} was answered twice, differently:\n${first.text}\n${again.text}`);
  }

  const charges = new Map((await all('/v1/charges')).map(charge => [charge.id, charge]));
  for (const { answer, path } of operations)
    if (answer?.status === 201 && path === '/v1/charges') check(charges.has(answer.json.id), `The acknowledged charge ${answer.json.id} is missing.`);
  for (const charge of charges.values()) check(!['unknown', 'processing'].includes(charge.status), `${charge.id} is still ${charge.status}.`);

  const payments = (await read('/sandbox/providers/stripe/payments')).data;
  check(new Set(payments.map(p => p.charge)).size === payments.length, 'The provider took two payments for one charge.');
  const reversed = payments.filter(p => charges.get(p.charge)?.status === 'failed' && p.amount_captured > 0);
  for (const payment of payments) {
    const charge = charges.get(payment.charge);
    check(charge, `The provider has ${payment.reference}, which is nobody's charge.`);
    if (reversed.includes(payment)) check(payment.amount_refunded === payment.amount_captured, `${payment.reference} was given up but not reversed.`);
    else check(charge.amount_captured === payment.amount_captured && charge.amount_refunded === payment.amount_refunded && charge.status === payment.status,
      `The provider's books differ: ${JSON.stringify(payment)}\n${JSON.stringify(charge)}`);
  }

  const entries = await all('/v1/balance/entries?currency=HKD');
  const available = (await read('/v1/balance')).balances.find(b => b.currency === 'HKD').available;
  const sum = entries.filter(e => e.account === 'merchant_available').reduce((total, e) => total + e.amount, 0);
  const expected = [...charges.values()].reduce((total, c) => total + c.settlement.net - c.amount_refunded, 0);
  check(available === sum && sum === expected, `The balance is ${available}, its entries sum to ${sum}, the charges to ${expected}.`);
  return { charges: charges.size, payments: payments.length, requests: operations.length };
}

try {
  await start();
  const clients = Array.from({ length: Number(options.clients) }, (_, i) => client(i));
  const failed = Promise.all(clients).then(() => new Promise(() => {}));
  for (let kill = 1; kill <= Number(options.kills); kill++) {
    await Promise.race([sleep(Number(options.seconds) * 1000 * (0.5 + Math.random())), failed]);
    host.kill('SIGKILL');
    await host.exited;
    console.log(`killed ${kill} times, ${operations.filter(o => o.answer).length} requests answered`);
    await start();
  }
  await Promise.race([sleep(1000), failed]);
  stopping = true;
  await Promise.all(clients);
  const counts = await verify();
  console.log(`OK: ${counts.requests} requests, ${counts.charges} charges, ${counts.payments} payments at the provider, all equal`);
} catch (error) {
  console.error(`FAILED: ${error.stack}`);
  process.exitCode = 1;
} finally {
  stopping = true;
  if (host && host.exitCode === null && host.signalCode === null) {
    // A graceful stop ends the storage as well.
    host.kill('SIGTERM');
    await host.exited;
  }
  if (process.exitCode) console.error(`The data is kept in ${data}`);
  else rmSync(data, { recursive: true, force: true });
}
process.exit();
