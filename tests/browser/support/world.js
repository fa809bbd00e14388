// An installation of its own for the journeys: a database that the demo has filled, the practice HISP that its messages go to,
// and a real `postern serve`. Everything lies in one temporary folder and goes with it.

import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile, mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { pdf } from './pdf.js';

const run = promisify(execFile);

/** The password of the practice HISP, and of the edge identity that the demo has made. */
const HISP_PASSWORD = 'practice-edge';
/** When the demo has run: in a month that is over, with its days of grace, whatever today is. */
const LONG_AGO = '-40d';
/** How long a process may take to say that it is up, in milliseconds. */
const PATIENCE = 30_000;

/** Somebody who is nowhere else in the installation: whatever a page says of them is a leak. */
export const PATIENT = { family: 'Quaggenbush', given: 'Zephyrine', local_id: 'PTKEY-77314', birth_date: '1961-03-09', phone: '+1-850-555-0177' };

export class World {
  #children = [];

  constructor(binary, home) {
    this.binary = binary;
    this.home = home;
    this.config = join(home, 'site/postern.toml');
  }

  /** Everything up, with `count` results of the demo in it. `more(url)` gives what else stands in the configuration. */
  static async open(binary, count, more = () => '') {
    const home = await mkdtemp(join(tmpdir(), 'postern-browser-'));
    const world = new World(binary, home);
    try {
      // Its month has ended by now, so that it can be closed.
      await run('faketime', ['-f', LONG_AGO, binary, 'demo', '--once', '--json', '--results', String(count), '--dir', join(home, 'site')]);
      await world.#configure(more);
      await world.#start('hisp', ['hisp', 'serve', '--json', '--dir', join(home, 'site/hisp'), '--relay-port', world.relay,
        '--edge-port', world.edge, '--mx-port', '0', '--bad-tls-port', '0', '--notices-port', world.smtp], /"relay"/);
      await world.#start('serve', ['-c', world.config, 'serve'], /listening on http:\/\/(\S+)/);
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  async #configure(more) {
    const written = await readFile(this.config, 'utf8');
    const port = name => written.split(`name = "${name}"`)[1].match(/port = (\d+)/)[1];
    [this.relay, this.edge] = [port('practice-hisp'), port('practice-edge')];
    const [web, smtp] = await freePorts(2);
    this.smtp = String(smtp);
    this.url = `http://localhost:${web}`;
    // What the demo leaves out because it answers one person on one machine: codes for the roles that need them, and mail.
    const config = written
      .replace(/^codes_for = .*\n/m, '')
      .replace(/^listen = .*$/m, `listen = "127.0.0.1:${web}"`)
      .replace('practice-relay', HISP_PASSWORD);
    await writeFile(this.config, `${config}[smtp_in]\nlisten = "127.0.0.1:${smtp}"\n${more(this.url)}`);
    await writeFile(join(this.home, 'site/hisp/password'), HISP_PASSWORD, { mode: 0o600 });
  }

  /** Starts a process and waits until what it says matches `up`. */
  #start(name, args, up) {
    const child = spawn(this.binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const started = { name, child, said: '', ended: false };
    this.#children.push(started);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${name} does not come up:\n${started.said}`)), PATIENCE);
      const hear = octets => {
        started.said += octets;
        if (up.test(started.said)) {
          clearTimeout(timer);
          resolve();
        }
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('exit', status => {
        started.ended = true;
        clearTimeout(timer);
        reject(new Error(`${name} ended with ${status}:\n${started.said}`));
      });
    });
  }

  /** What a command prints. */
  async postern(args, input = '') {
    const running = run(this.binary, ['-c', this.config, ...args]);
    running.child.stdin.end(input);
    return (await running).stdout;
  }

  /** Lets somebody in; gives their first password. */
  async person(login, role, ...organizations) {
    const first = `a walk to the sea ${randomBytes(4).toString('hex')}`;
    const confined = organizations.flatMap(slug => ['--organization', slug]);
    await this.postern(['user', 'add', login, '--role', role, '--name', login.split('@')[0], '--password-stdin', ...confined], first);
    return first;
  }

  /** Hands a result in, with its order, for one address; gives the answer. */
  async submit(organization, site, order_id, address) {
    this.tokens ??= {};
    this.tokens[organization] ??= JSON.parse(
      await this.postern(['token', 'create', '--organization', organization, '--name', `browser-${organization}`, '--json'])).token;
    const { family, given, local_id, birth_date, phone } = PATIENT;
    const order = { order_id, site, patient: { local_id, name: { family, given: [given] }, birth_date, gender: 'F', phone },
      deliver_to: address ? [{ role: 'pcp', direct: address }] : [] };
    const report = pdf(`Report on ${given} ${family}`).toString('base64');
    const answer = await fetch(`${this.url}/v1/results`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.tokens[organization]}`, 'content-type': 'application/json' },
      body: JSON.stringify({ order_id, site, status: 'final', order, pdf: report }),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(`the result of ${order_id} was not taken: ${JSON.stringify(body)}`);
    return body;
  }

  /** What the processes have said, for a failure. */
  logs() {
    return this.#children.map(({ name, said }) => `--- ${name}\n${said.slice(-4_000)}`).join('\n');
  }

  /** Ends everything that was started here, and removes the folder. */
  async close() {
    await Promise.all(this.#children.filter(({ ended }) => !ended).map(({ child }) => new Promise(resolve => {
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      child.once('exit', () => { clearTimeout(timer); resolve(); });
      child.kill('SIGINT');
    })));
    await rm(this.home, { recursive: true, force: true });
  }
}

/** Ports nobody listens on. They are held together, so that they differ. */
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  })));
  const ports = servers.map(server => server.address().port);
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  return ports;
}
