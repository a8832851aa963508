// What a running cell asks and shows: a box for input, a bar that moves.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cell, finished, openNotebook, screenshot, startBrowser, startCell } from './browser.mjs';
import { startLab, writeNotebook } from './lab.mjs';

const CELLS = [
  'let name = input("Your name: ")?;\nformat!("hello, {name}")',
  'let key = password("Key: ")?;\nkey.len()',
  'for _ in progress(0..200) {\n    std::thread::sleep(Duration::from_millis(20));\n}'
];

let lab;
let browser;

before(async () => {
  lab = await startLab();
  browser = await startBrowser();
  await openNotebook(browser.page, lab.url(await writeNotebook(lab, 'asking.ipynb', CELLS)));
});

after(async () => {
  await browser?.stop();
  await lab?.stop();
});

test('a box for input is answered', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 0);
  const box = cell(page, 0).locator('.jp-Stdin-input');
  await box.waitFor();
  assert.match(await cell(page, 0).locator('.jp-Stdin-prompt').textContent(), /Your name/);
  await screenshot(page, 'asking-input');
  await box.fill('Ada');
  await box.press('Enter');
  assert.match(await finished(page, 0), /hello, Ada/);

  await startCell(page, 1);
  const hidden = cell(page, 1).locator('.jp-Stdin-input');
  await hidden.waitFor();
  assert.equal(await hidden.getAttribute('type'), 'password');
  await hidden.fill('secret');
  await hidden.press('Enter');
  assert.match(await finished(page, 1), /6/);
});

test('a progress bar moves', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 2);
  const bar = cell(page, 2).locator('.jp-OutputArea-output progress');
  await bar.waitFor();
  const seen = [];
  for (let look = 0; look < 3; look++) {
    seen.push(Number(await bar.getAttribute('value')));
    await page.waitForTimeout(700);
    if (look === 1) await screenshot(page, 'asking-progress');
  }
  assert.ok(seen[0] < seen[1] && seen[1] < seen[2], `seen at ${seen}`);
  const text = await finished(page, 2);
  assert.match(text, /200\/200 100%/);
  assert.equal(await bar.count(), 1);
});
