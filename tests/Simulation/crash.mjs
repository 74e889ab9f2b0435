// Kills the real sandbox under load, again and again, and then looks whether anything was lost, doubled or left open.
//
//   node tests/Simulation/crash.mjs
//
// Eight clients charge, capture, cancel and refund; the sandbox is ended by SIGKILL in the middle of that and started again at once, and
// so on; the clients go on with the same keys, as merchants' software does.
//
// CRASH_KILLS (5) and CRASH_CLIENTS (8) say how much; CRASH_SANDBOX names the built Harbour.Sandbox.dll.
import { setTimeout as wait } from 'node:timers/promises';
import { group, Sandbox } from './sandbox.mjs';

const kills = Number(process.env.CRASH_KILLS ?? 5);
const clients = Number(process.env.CRASH_CLIENTS ?? 8);
const sandbox = await Sandbox.create('crash');
const { wrong } = sandbox;

/** Everything that a client asked for: its key, what it sent and all that it was answered. */
const asked = [];
let loading = true;

const started = Date.now();
try {
  await sandbox.start();
  const load = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  for (let kill = 1; kill <= kills; kill++) {
    await wait(1500 + Math.random() * 2000);
    const underWay = asked.filter(one => one.underWay).length;
    await sandbox.end('SIGKILL');
    console.log(`kill ${kill}: ${asked.length} requests so far, ${underWay} under way`);
    await sandbox.start();
  }
  await wait(1000);
  loading = false;
  await load;
  await look();
} finally {
  await sandbox.stop();
}

const answered = asked.filter(one => one.answers.length > 0).length;
sandbox.report(`${asked.length} keys, ${answered} answered, ${kills} kills, ${Math.round((Date.now() - started) / 1000)} s`);

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
  const heard = await sandbox.try(one.path, one.body, one.key);
  if (!heard) return undefined;
  const parsed = JSON.parse(heard.text);
  const answer = { ...heard, code: parsed.code, object: heard.status < 300 ? parsed.id : parsed.refund ?? (heard.status === 402 ? parsed.charge : undefined) };
  one.answers.push(answer);
  return answer;
}

function isFinal(answer) {
  return answer.status === 201 || answer.status === 402;
}

/** After a day of clock: every promise, looked at from outside. */
async function look() {
  await sandbox.post('/sandbox/clock/advance', { by: '26:00:00' });
  for (const round of [1, 2]) {
    await all(asked, async one => {
      if (!await send(one)) wrong.push(`${one.key} was not answered when all was quiet (${round})`);
    });
    // What the first round began for the first time, because its call had died before it began, gets its own day.
    if (round === 1) await sandbox.post('/sandbox/clock/advance', { by: '26:00:00' });
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
    const found = await sandbox.get(id.startsWith('re_') ? `/v1/refunds/${id}` : `/v1/charges/${id}`);
    if (found.id !== id) wrong.push(`${id} was acknowledged and is gone`);
    else if (['unknown', 'processing', 'pending'].includes(found.status)) wrong.push(`${id} is ${found.status} a day later`);
  });

  const { charges, payments } = await sandbox.compareWithProvider();
  for (const [key, made] of group(charges, charge => charge.reference)) if (made.length > 1) wrong.push(`${key} made ${made.length} charges`);

  const refunds = await sandbox.list('/v1/refunds');
  const expected = charges.reduce((sum, charge) => sum + charge.settlement.net, 0) - refunds.filter(r => r.status === 'succeeded').reduce((sum, r) => sum + r.amount, 0);
  const entries = (await sandbox.list('/v1/balance/entries')).filter(entry => entry.currency === 'HKD' && entry.account === 'merchant_available').reduce((sum, entry) => sum + entry.amount, 0);
  const { available } = (await sandbox.get('/v1/balance')).balances.find(balance => balance.currency === 'HKD');
  if (available !== expected || available !== entries) wrong.push(`the balance is ${available}, the ledger lines sum to ${entries}, and charges less fees and refunds are ${expected}`);
  console.log(`${charges.length} charges, ${refunds.length} refunds, ${payments.length} payments at the provider, balance ${available}`);
}

/** Does something for each, sixteen at a time. */
async function all(items, work) {
  const left = [...items];
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (left.length > 0) await work(left.pop());
  }));
}
