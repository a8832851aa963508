// Says which sources the committed build was made of. `node stamp.mjs` writes it, after a build;
// `node stamp.mjs --check` fails if the sources have changed since.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const STAMP = 'oxilab_lab/labextension/sources.sha256';
const SOURCES = ['package.json', 'package-lock.json', 'tsconfig.json', 'schema', 'style', 'src'];

function files(name) {
  if (!fs.statSync(name).isDirectory()) return [name];
  return fs.readdirSync(name).sort().flatMap(inside => files(path.posix.join(name, inside)));
}

const hash = createHash('sha256');
for (const file of SOURCES.flatMap(files).filter(file => !file.includes('__tests__'))) {
  hash.update(`${file}\0`).update(fs.readFileSync(file)).update('\0');
}
const now = `${hash.digest('hex')}\n`;
if (process.argv.includes('--check')) {
  const then = fs.existsSync(STAMP) ? fs.readFileSync(STAMP, 'utf8') : '';
  if (then !== now) {
    console.error('oxilab_lab/labextension is older than its sources: run `npm run build` and commit it');
    process.exit(1);
  }
} else {
  fs.writeFileSync(STAMP, now);
}
