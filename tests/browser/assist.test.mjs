// Help at the keyboard: Tab picks a method of a frame, Shift-Tab shows what is known of it, and so does a
// question mark behind it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cell, finished, openNotebook, screenshot, startBrowser, startCell } from './browser.mjs';
import { startLab, writeNotebook } from './lab.mjs';

const CELLS = ['let df = df!("mpg" => [18.0, 24.5], "origin" => ["usa", "japan"])?;', '', 'df.height?'];

/** What polars says of `DataFrame::height`. */
const DOCS = /number of rows/;

let lab;
let browser;

before(async () => {
  lab = await startLab();
  browser = await startBrowser();
  await openNotebook(browser.page, lab.url(await writeNotebook(lab, 'assist.ipynb', CELLS)));
});

after(async () => {
  await browser?.stop();
  await lab?.stop();
});

test('Tab picks a method of a frame', { timeout: 180_000 }, async () => {
  const { page } = browser;
  await startCell(page, 0);
  await finished(page, 0);
  await cell(page, 1).locator('.cm-content').click();
  await page.keyboard.type('df.heig');
  // The helper starts with the first question.
  const item = page.locator('.jp-Completer .jp-Completer-item', { hasText: 'height' }).first();
  for (let turn = 0; turn < 20 && !(await item.isVisible()); turn++) {
    if (/df\.height/.test(await cell(page, 1).locator('.cm-content').innerText())) break;
    await page.keyboard.press('Tab');
    await page.waitForTimeout(1500);
  }
  if (await item.isVisible()) {
    await screenshot(page, 'assist-completion');
    await item.click();
  }
  assert.match(await cell(page, 1).locator('.cm-content').innerText(), /df\.height/);
});

test('Shift-Tab shows documentation', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await cell(page, 1).locator('.cm-content').click();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('df');
  const tooltip = page.locator('.jp-Tooltip');
  await page.keyboard.press('Shift+Tab');
  await tooltip.waitFor();
  assert.match(await tooltip.textContent(), /DataFrame/);
  await screenshot(page, 'assist-inspection');
  await cell(page, 1).locator('.cm-content').click();
  await tooltip.waitFor({ state: 'detached' });

  // Of a method: its signature and what its documentation says.
  await page.keyboard.press('Control+A');
  await page.keyboard.type('df.height');
  await page.keyboard.press('Shift+Tab');
  await tooltip.filter({ hasText: 'fn height(&self) -> usize' }).waitFor();
  assert.match(await tooltip.textContent(), DOCS);
  await screenshot(page, 'assist-documentation');
});

test('a question mark opens the documentation', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 2);
  const text = await finished(page, 2);
  assert.match(text, /fn height\(&self\) -> usize/);
  assert.match(text, DOCS);
  // As HTML: the signature stands in a block of code, the example too.
  const code = cell(page, 2).locator('.jp-OutputArea-output pre code');
  assert.match(await code.first().textContent(), /fn height/);
  await cell(page, 2).scrollIntoViewIfNeeded();
  await screenshot(page, 'assist-pager');
});
