// A JupyterLab of its own for a test: loopback, a free port, a new configuration folder, and a copy
// of the notebooks, since JupyterLab saves into the files it opens.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');

/** Starts JupyterLab; `await lab.stop()` ends it and removes its files. */
export async function startLab() {
  const home = await fs.mkdtemp(path.join(os.tmpdir(), 'oxilab-lab-'));
  const work = path.join(home, 'work');
  await fs.cp(path.join(ROOT, 'notebooks'), work, { recursive: true });
  // Every cell in the page at once, so that a test can look at all of them.
  await writeSettings(home, '@jupyterlab/notebook-extension/tracker', { windowingMode: 'none' });
  await writeSettings(home, '@jupyterlab/apputils-extension/notification', { fetchNews: 'false' });
  const port = await freePort();
  const token = randomUUID();
  const log = [];
  const child = spawn(path.join(ROOT, '.venv/bin/jupyter-lab'), options(port, token, work), {
    env: { ...process.env, JUPYTER_CONFIG_DIR: path.join(home, 'config') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.on('data', text => log.push(text));
  child.stderr.on('data', text => log.push(text));
  const lab = {
    work,
    url: file => `http://127.0.0.1:${port}/lab/tree/${file}?token=${token}`,
    log: () => Buffer.concat(log).toString(),
    stop: () => stop(child, home),
  };
  try {
    await answers(`http://127.0.0.1:${port}/api?token=${token}`, child);
  } catch (error) {
    await lab.stop();
    throw new Error(`${error.message}\n${lab.log()}`);
  }
  return lab;
}

/** Writes a notebook of these cells into the lab's folder and returns its name. */
export async function writeNotebook(lab, name, sources) {
  const cells = sources.map((source, index) => ({
    cell_type: 'code', id: `cell-${index}`, metadata: {}, execution_count: null, outputs: [], source,
  }));
  const kernelspec = { name: 'oxilab', display_name: 'Rust (oxilab)', language: 'rust' };
  const notebook = { cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 };
  await fs.writeFile(path.join(lab.work, name), JSON.stringify(notebook));
  return name;
}

function options(port, token, work) {
  return [
    '--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', `--ServerApp.port=${port}`,
    '--ServerApp.port_retries=0', `--IdentityProvider.token=${token}`, `--ServerApp.root_dir=${work}`,
    '--LabApp.news_url=None', '--LabApp.extension_manager=readonly',
    '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
  ];
}

async function writeSettings(home, plugin, values) {
  const file = path.join(home, 'config/lab/user-settings', `${plugin}.jupyterlab-settings`);
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, JSON.stringify(values));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function answers(url, child) {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`JupyterLab ended with ${child.exitCode}`);
    const reply = await fetch(url).catch(() => null);
    if (reply?.ok) return;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  throw new Error('JupyterLab did not answer within 60 s');
}

async function stop(child, home) {
  const ended = new Promise(resolve => child.once('exit', resolve));
  if (child.exitCode === null) {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  }
  await fs.rm(home, { recursive: true, force: true, maxRetries: 5 });
}
