// Cells at the keyboard: a variable lives on, an error points into its cell and is explained on a click,
// Interrupt keeps variables.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cell, finished, openNotebook, screenshot, startBrowser, startCell } from './browser.mjs';
import { startLab, writeNotebook } from './lab.mjs';

const CELLS = [
  'let kept = vec![40, 1, 1];',
  'kept.iter().sum::<i32>()',
  'let wrong: u8 = "text";',
  'let mut n = 0u64;\nloop {\n    n += 1;\n    std::thread::sleep(std::time::Duration::from_millis(1));\n}',
  'kept.len()',
];

let lab;
let browser;

before(async () => {
  lab = await startLab();
  browser = await startBrowser();
});

after(async () => {
  await browser?.stop();
  await lab?.stop();
});

test('variables, errors and Interrupt', { timeout: 300_000 }, async () => {
  const { page } = browser;
  await openNotebook(page, lab.url(await writeNotebook(lab, 'cells.ipynb', CELLS)));

  await startCell(page, 0);
  await finished(page, 0);
  await startCell(page, 1);
  assert.match(await finished(page, 1), /42/);

  await startCell(page, 2);
  const error = await finished(page, 2);
  assert.match(error, /mismatched types/);
  assert.match(error, /In ?\[3\]/);
  // The source stands there once, with what is wrong underlined; the explanation comes on a click.
  assert.equal(error.split('let wrong').length - 1, 1, error);
  const block = cell(page, 2).locator('.oxilab-error');
  const underlined = block.locator('u[style*="wavy"]');
  assert.equal(await underlined.innerText(), '"text"');
  const line = await underlined.evaluate(node => getComputedStyle(node).textDecorationStyle);
  assert.equal(line, 'wavy');
  const explanation = block.getByText('did not match the received type').first();
  assert.equal(await explanation.isVisible(), false);
  await block.locator('summary').click();
  await explanation.waitFor({ state: 'visible' });
  await screenshot(page, 'cells-error');

  await startCell(page, 3);
  await page.waitForTimeout(1500);
  await page.locator('jp-button[data-command="notebook:interrupt-kernel"], ' +
    '[data-jp-item-name="interrupt"] jp-button').first().click();
  const stopped = await finished(page, 3, 15_000);
  assert.match(stopped, /interrupt/i);

  await startCell(page, 4);
  assert.match(await finished(page, 4), /3/);
  await cell(page, 4).scrollIntoViewIfNeeded();
  await screenshot(page, 'cells');
});
