// Kills the real sandbox while subscriptions renew over two years of its clock, and then looks whether a period was missed or paid twice.
//
//   node tests/Simulation/renewals.mjs
//
// CRASH_KILLS (5) says how often; CRASH_SANDBOX names the built Harbour.Sandbox.dll.
import { setTimeout as wait } from 'node:timers/promises';
import { Sandbox } from './sandbox.mjs';

const kills = Number(process.env.CRASH_KILLS ?? 5);
const months = 24;
const sandbox = await Sandbox.create('renewals');
const { wrong } = sandbox;
let killed = 0;
let advancing = true;

const started = Date.now();
try {
  await sandbox.start();
  const steady = await subscribe('tok_visa', { interval: 'month' });
  const healing = await subscribe('tok_recurring_fails_3', { interval: 'month' });
  const failing = await subscribe('tok_recurring_fails_9', { interval: 'week' });
  const gone = await subscribe('tok_visa', { interval: 'day' });
  await sandbox.post(`/v1/subscriptions/${gone.id}/cancel`, {}, 'cancel');

  const end = new Date(steady.current_period_start);
  end.setUTCMonth(end.getUTCMonth() + months - 1);
  end.setUTCDate(end.getUTCDate() + 6);
  const killer = kill();
  await live(end);
  advancing = false;
  await killer;
  await live(new Date(Math.max(end, await now())));

  await look(steady, months, 'active');
  await look(healing, months, 'active');
  await look(failing, 1, 'unpaid');
  await look(gone, 1, 'canceled');
  await sandbox.compareWithProvider();
} finally {
  await sandbox.stop();
}

sandbox.report(`${months} months, ${killed} kills, ${Math.round((Date.now() - started) / 1000)} s`);

async function subscribe(token, plan) {
  const customer = await sandbox.post('/v1/customers', { name: token }, `customer-${token}-${plan.interval}`);
  const body = { amount: 1_000, currency: 'HKD', payment_method: { type: 'card', token }, customer: customer.id, setup_mandate: true };
  const charge = await sandbox.post('/v1/charges', body, `first-${customer.id}`);
  return sandbox.post('/v1/subscriptions', { customer: customer.id, mandate: charge.mandate, amount: 12_800, currency: 'HKD', ...plan }, `subscription-${customer.id}`);
}

async function kill() {
  while (advancing && killed < kills) {
    await wait(300 + Math.random() * 1500);
    if (!advancing) return;
    await sandbox.end('SIGKILL');
    killed++;
    await sandbox.start();
  }
}

/** Moves the clock to a moment, however often the sandbox dies on the way. */
async function live(end) {
  for (let tries = 0; tries < 1000; tries++) {
    try {
      const seconds = Math.ceil((end - await now()) / 1000);
      if (seconds <= 0) return;
      const pad = number => String(number).padStart(2, '0');
      await sandbox.post('/sandbox/clock/advance', { by: `${Math.floor(seconds / 3600)}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}` });
    } catch {
      await wait(100);
    }
  }
  throw new Error('The clock did not come to its end.');
}

async function now() {
  return new Date((await sandbox.get('/sandbox/clock')).now);
}

async function look(subscription, periods, status) {
  const name = `${subscription.id} (${status})`;
  const is = await sandbox.get(`/v1/subscriptions/${subscription.id}`);
  if (is.status !== status) wrong.push(`${name} is ${is.status}`);
  const invoices = (await sandbox.list(`/v1/subscriptions/${subscription.id}/invoices`)).reverse();
  if (invoices.length !== periods) wrong.push(`${name} has ${invoices.length} invoices and not ${periods}`);
  invoices.forEach((invoice, i) => {
    if (i > 0 && invoice.period_start !== invoices[i - 1].period_end) wrong.push(`${invoice.id} begins at ${invoice.period_start}, and the period before ended at ${invoices[i - 1].period_end}`);
    const paid = invoice.attempts.filter(attempt => attempt.status === 'succeeded').length;
    if (invoice.status !== (status === 'unpaid' ? 'uncollectible' : 'paid') || paid !== (status === 'unpaid' ? 0 : 1)) wrong.push(`${invoice.id} is ${invoice.status} with ${paid} payments`);
    if (invoice.attempts.length > 4) wrong.push(`${invoice.id} has ${invoice.attempts.length} attempts`);
    const waits = [1, 24, 72];
    for (let n = 1; n < invoice.attempts.length; n++) {
      const hours = (new Date(invoice.attempts[n].at) - new Date(invoice.attempts[n - 1].at)) / 3_600_000;
      if (hours < waits[n - 1]) wrong.push(`attempt ${n + 1} of ${invoice.id} came after ${hours} hours`);
    }
  });
}
