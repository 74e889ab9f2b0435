// Kills the real sandbox under load, again and again, and then looks whether anything was lost, doubled or left open.
//
//   node tests/Simulation/crash.mjs
//
// It starts the sandbox as its own process on a directory and a port of its own, lets eight clients charge, capture, cancel and
// refund, ends the sandbox by SIGKILL in the middle of that, starts it again at once, and so on; the clients go on with the same keys,
// as merchants' software does. Azurite is not killed: the next start adopts it. At the end all is stopped by SIGTERM, Azurite
// included, and the directory is removed. It ends only processes that it started, by their ids.
//
// CRASH_KILLS (5) and CRASH_CLIENTS (8) say how much; CRASH_SANDBOX names the built Harbour.Sandbox.dll.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const kills = Number(process.env.CRASH_KILLS ?? 5);
const clients = Number(process.env.CRASH_CLIENTS ?? 8);
const dll = process.env.CRASH_SANDBOX ?? build();
const data = mkdtempSync(join(tmpdir(), 'harbour-crash-'));
const port = await freePort();
const url = `http://localhost:${port}`;
const api = { Authorization: 'Bearer sk_test_harbour_demo', 'Content-Type': 'application/json' };

/** Everything that a client asked for: its key, what it sent and all that it was answered. */
const asked = [];
const wrong = [];
let host;
let loading = true;

const started = Date.now();
try {
  await start();
  const load = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  for (let kill = 1; kill <= kills; kill++) {
    await wait(1500 + Math.random() * 2000);
    const underWay = asked.filter(one => one.underWay).length;
    await end('SIGKILL');
    console.log(`kill ${kill}: ${asked.length} requests so far, ${underWay} under way`);
    await start();
  }
  await wait(1000);
  loading = false;
  await load;
  await look();
} finally {
  await end('SIGTERM').catch(error => wrong.push(error.message));
  await endAzurite();
  if (wrong.length === 0) rmSync(data, { recursive: true, force: true });
}

const answered = asked.filter(one => one.answers.length > 0).length;
console.log(`${asked.length} keys, ${answered} answered, ${kills} kills, ${Math.round((Date.now() - started) / 1000)} s`);
for (const line of wrong.slice(0, 40)) console.error(`WRONG: ${line}`);
if (wrong.length > 0) console.error(`${wrong.length} things are wrong; the data and the log are in ${data}`);
process.exit(wrong.length === 0 ? 0 : 1);

/** One merchant's software: a charge, and then what may be done with it, each under its own key until it is settled. */
async function client(number) {
  const tokens = ['tok_visa', 'tok_visa', 'tok_mastercard', 'tok_visa', 'tok_provider_error', 'tok_declined', 'tok_unionpay'];
  for (let turn = 0; loading; turn++) {
    const key = `crash-${number}-${turn}`;
    const manual = turn % 3 === 1;
    const body = {
      amount: 10_000 + turn, currency: 'HKD', reference: key, capture_method: manual ? 'manual' : 'automatic',
      payment_method: { type: 'card', token: tokens[(number + turn) % tokens.length] },
    };
    const charge = await settle('/v1/charges', body, key);
    if (charge?.status !== 201) continue;
    const path = `/v1/charges/${JSON.parse(charge.text).id}`;
    if (manual && turn % 2 === 0) await settle(`${path}/cancel`, {}, `${key}-cancel`);
    else if (manual) await settle(`${path}/capture`, { amount: 6_000 }, `${key}-capture`);
    if (turn % 2 === 1) await Promise.all([settle(`${path}/refunds`, { amount: 1_000 }, `${key}-r1`), settle(`${path}/refunds`, { amount: 5_000 }, `${key}-r2`)]);
  }
}

/** Sends a request until it has an answer to keep, or until the load ends. */
async function settle(path, body, key) {
  const one = { path, body, key, answers: [], underWay: true };
  asked.push(one);
  for (let attempt = 0; attempt < 400; attempt++) {
    const answer = await send(one);
    if (answer && (isFinal(answer) || answer.status === 422 || (answer.status === 409 && answer.code !== 'idempotency_key_in_use' && answer.code !== 'concurrent_update'))) break;
    // Whoever holds the key died with the host; its lease lasts 45 s, and the check takes the key up after a day of clock.
    if (!loading || (answer?.status === 409 && attempt > 3) || answer?.status === 202) break;
    await wait(50);
  }
  one.underWay = false;
  return one.answers.findLast(isFinal);
}

async function send(one) {
  try {
    const response = await fetch(url + one.path, { method: 'POST', headers: { ...api, 'Idempotency-Key': one.key }, body: JSON.stringify(one.body), signal: AbortSignal.timeout(60_000) });
    const text = await response.text();
    const parsed = JSON.parse(text);
    const answer = { status: response.status, text, code: parsed.code, object: response.status < 300 ? parsed.id : parsed.refund ?? (response.status === 402 ? parsed.charge : undefined) };
    one.answers.push(answer);
    return answer;
  } catch {
    return undefined;
  }
}

function isFinal(answer) {
  return answer.status === 201 || answer.status === 402;
}

/** After a day of clock: every promise, looked at from outside. */
async function look() {
  await post('/sandbox/clock/advance', { by: '26:00:00' });
  for (const round of [1, 2]) {
    await all(asked, async one => {
      if (!await send(one)) wrong.push(`${one.key} was not answered when all was quiet (${round})`);
    });
    // What the first round began for the first time, because its call had died before it began, gets its own day.
    if (round === 1) await post('/sandbox/clock/advance', { by: '26:00:00' });
  }

  for (const one of asked) {
    const finals = one.answers.filter(isFinal);
    if (new Set(finals.map(answer => answer.status + answer.text)).size > 1) wrong.push(`${one.key} had two final answers: ${finals.map(answer => answer.text).join(' ')}`);
    const first = one.answers.findIndex(isFinal);
    const last = one.answers.at(-1);
    if (first >= 0 && !isFinal(last)) wrong.push(`${one.key} had a final answer and now ${last.status} ${last.code}`);
    if (last && last.status !== 409 && last.status !== 422 && !isFinal(last)) wrong.push(`${one.key} is answered ${last.status} a day later: ${last.text}`);
    if (new Set(one.answers.map(answer => answer.object).filter(id => id)).size > 1) wrong.push(`${one.key} named several objects`);
  }

  const acknowledged = new Set(asked.flatMap(one => one.answers).map(answer => answer.object).filter(id => id));
  await all([...acknowledged], async id => {
    const found = await get(id.startsWith('re_') ? `/v1/refunds/${id}` : `/v1/charges/${id}`);
    if (found.id !== id) wrong.push(`${id} was acknowledged and is gone`);
    else if (['unknown', 'processing', 'pending'].includes(found.status)) wrong.push(`${id} is ${found.status} a day later`);
  });

  const charges = await list('/v1/charges');
  const refunds = await list('/v1/refunds');
  const payments = (await get('/sandbox/providers/stripe/payments')).data;
  compare(charges, payments);

  const expected = charges.reduce((sum, charge) => sum + charge.settlement.net, 0) - refunds.filter(r => r.status === 'succeeded').reduce((sum, r) => sum + r.amount, 0);
  const entries = (await list('/v1/balance/entries')).filter(entry => entry.currency === 'HKD' && entry.account === 'merchant_available').reduce((sum, entry) => sum + entry.amount, 0);
  const { available } = (await get('/v1/balance')).balances.find(balance => balance.currency === 'HKD');
  if (available !== expected || available !== entries) wrong.push(`the balance is ${available}, the ledger lines sum to ${entries}, and charges less fees and refunds are ${expected}`);
  console.log(`${charges.length} charges, ${refunds.length} refunds, ${payments.length} payments at the provider, balance ${available}`);
}

/** The provider's books and ours, payment by payment. */
function compare(charges, payments) {
  const byKey = group(charges, charge => charge.reference);
  for (const [key, made] of byKey) if (made.length > 1) wrong.push(`${key} made ${made.length} charges`);
  const byCharge = group(payments, payment => payment.charge);
  const ours = new Set(charges.map(charge => charge.id));
  for (const [id, taken] of byCharge) {
    if (taken.length > 1) wrong.push(`the provider has ${taken.length} payments of ${id}`);
    if (!ours.has(id)) wrong.push(`the provider has a payment of ${id}, which we do not know`);
  }
  for (const charge of charges) {
    const theirs = byCharge.get(charge.id)?.[0];
    if (charge.status === 'failed' && (!theirs || theirs.status === 'failed' || theirs.amount_captured === theirs.amount_refunded)) continue;
    for (const field of ['status', 'amount', 'amount_captured', 'amount_refunded', 'currency'])
      if (theirs?.[field] !== charge[field]) wrong.push(`${charge.id}: ${field} is ${charge[field]} here and ${theirs?.[field]} at the provider`);
  }
}

function group(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...groups.get(keyOf(item)) ?? [], item]);
  return groups;
}

async function list(path) {
  const found = [];
  for (let cursor = ''; ;) {
    const page = await get(`${path}?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    found.push(...page.data);
    if (!page.has_more) return found;
    cursor = page.next_cursor;
  }
}

async function get(path) {
  return (await fetch(url + path, { headers: api })).json();
}

async function post(path, body) {
  const response = await fetch(url + path, { method: 'POST', headers: api, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}

/** Does something for each, sixteen at a time. */
async function all(items, work) {
  const left = [...items];
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (left.length > 0) await work(left.pop());
  }));
}

/** Starts the sandbox and waits until it serves. */
async function start() {
  const log = openSync(join(data, 'host.log'), 'a');
  const child = spawn('dotnet', [dll], { env: { ...process.env, SANDBOX_DATA: data, SANDBOX_PORT: String(port) }, stdio: ['ignore', log, log] });
  host = { child, ended: new Promise(resolve => child.once('exit', resolve)) };
  for (const since = Date.now(); Date.now() - since < 60_000; await wait(50)) {
    if (child.exitCode !== null) throw new Error(`The sandbox ended with ${child.exitCode}; ${join(data, 'host.log')} says why.`);
    if (await fetch(`${url}/healthz`).then(response => response.ok, () => false)) return;
  }
  throw new Error(`The sandbox does not serve; ${join(data, 'host.log')} says why.`);
}

async function end(signal) {
  if (!host || host.child.exitCode !== null || host.child.signalCode !== null) return;
  host.child.kill(signal);
  await host.ended;
}

/** The sandbox ends its Azurite itself. Where it could not, the Azurite that it started here is ended by its id. */
async function endAzurite() {
  const identity = join(data, 'azurite', 'azurite.json');
  if (!existsSync(identity)) return;
  const { Pid: id } = JSON.parse(readFileSync(identity, 'utf8'));
  try {
    process.kill(id, 'SIGTERM');
    wrong.push(`Azurite (process ${id}) was still there when the sandbox had ended`);
  } catch {
    // It is gone, as it should be.
  }
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
