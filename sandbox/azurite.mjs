// Starts Azurite for the sandbox host and prints its process id.
//
// Azurite gets a session of its own (detached), so that neither Ctrl+C nor a killed host takes it down in the middle
// of a write, and writes to a log file, since it dies on a closed pipe. Its identity file is written here, in the same
// breath as the process is made: a host that is killed a moment later still leaves an Azurite that can be found.
//
//   node azurite.mjs keep|drop <identity file> <log file> <Azurite's own arguments...>
//
// keep  leaves Azurite running when the host goes, to be adopted by the next one.
// drop  (nothing is kept) leaves a watch beside it, also in a session of its own, that ends Azurite when the host closes
//       our input or dies in whatever way, and removes its directory.
import { spawn } from 'node:child_process';
import { openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

const [lifetime, identityFile, logFile, ...args] = process.argv.slice(2);
const { HARBOUR_AZURITE_IDENTITY: identity, HARBOUR_AZURITE_WATCH: watching, ...env } = process.env;

if (lifetime === 'drop' && !watching) {
  spawn(process.execPath, process.argv.slice(1), { detached: true, stdio: 'inherit', env: { ...process.env, HARBOUR_AZURITE_WATCH: '1' } }).unref();
} else {
  const child = start();
  if (lifetime === 'keep') child.unref();
  else watch(child);
}

function start() {
  const azurite = createRequire(import.meta.url).resolve('azurite/dist/src/azurite.js');
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, [azurite, ...args], { detached: true, stdio: ['ignore', log, log], env });
  if (child.pid === undefined) throw new Error('Azurite could not be started.');

  const written = `${identityFile}.new`;
  writeFileSync(written, JSON.stringify({ ...JSON.parse(identity), Pid: child.pid }), { mode: 0o600 });
  renameSync(written, identityFile);
  process.stdout.write(`${child.pid}\n`);
  return child;
}

function watch(child) {
  process.stdin.on('error', () => {}).on('close', () => child.kill('SIGTERM')).resume();
  child.on('exit', () => {
    rmSync(dirname(identityFile), { recursive: true, force: true });
    process.exit();
  });
}
