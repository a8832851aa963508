// The extension: the panel lists variables and sorts them, a frame of ten million rows opens as a grid,
// a cell is formatted.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cell, finished, openNotebook, screenshot, startBrowser, startCell } from './browser.mjs';
import { startLab, writeNotebook } from './lab.mjs';

const CELLS = [
  `let n: Vec<i64> = (0..10_000_000).collect();
let big = df!("n" => &n, "half" => n.iter().map(|n| *n as f64 / 2.0).collect::<Vec<_>>())?;
let names = vec!["Ada".to_owned(), "Grace".to_owned()];
let tensor = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;`,
  'let  x=1 ;\nlet y = vec![ x,2,\n 3 ];\ny',
  'let names = vec!["Edsger".to_owned()];'
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

const row = (page, name) => page.locator(`.oxilab-Variables tr[data-variable="${name}"]`);
const names = page =>
  page.locator('.oxilab-Variables tbody tr').evaluateAll(rows => rows.map(row => row.dataset.variable));

test('the panel lists and sorts variables', { timeout: 180_000 }, async () => {
  const { page } = browser;
  await openNotebook(page, lab.url(await writeNotebook(lab, 'panel.ipynb', CELLS)));
  await page.locator('.jp-SideBar [data-id="oxilab-variables"]').click();
  await startCell(page, 0);
  await finished(page, 0);
  await row(page, 'tensor').waitFor();
  assert.deepEqual((await names(page)).sort(), ['big', 'n', 'names', 'tensor']);
  const text = await row(page, 'big').textContent();
  assert.match(text, /DataFrame/);
  assert.match(text, /10000000 × 2/);
  assert.match(text, /160 MB/);
  assert.match(await row(page, 'names').textContent(), /Vec<String>.*len 2.*Ada/);
  await page.locator('.oxilab-Variables th button', { hasText: 'Memory' }).click();
  await page.locator('.oxilab-Variables th button', { hasText: 'Memory' }).click();
  assert.equal((await names(page))[0], 'big');
  await screenshot(page, 'panel-variables');
  await startCell(page, 2);
  await finished(page, 2);
  await row(page, 'names').filter({ hasText: 'len 1' }).waitFor();
});

test('a frame of ten million rows opens as a grid', { timeout: 180_000 }, async () => {
  const { page } = browser;
  const start = Date.now();
  await row(page, 'big').locator('a').click();
  const frame = page.locator('.oxilab-Frame');
  await frame.locator('[data-part="shape"]', { hasText: /10.000.000 × 2/ }).waitFor();
  await frame.locator('.lm-DataGrid canvas').first().waitFor();
  console.log(`opened in ${Date.now() - start} ms`);
  await page.waitForTimeout(500);
  await screenshot(page, 'panel-frame');
  // The grid draws on a canvas, so what it holds is asked of its model.
  await frame.getByLabel('Sort by').selectOption('half');
  await frame.getByLabel('descending').check();
  await page.waitForTimeout(3_000);
  assert.equal(await frame.locator('[role="status"]').textContent(), '');
  await screenshot(page, 'panel-frame-sorted');
  const copied = await copyFirst(page, frame);
  assert.match(copied, /9999999/);
});

test('a cell is formatted', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await cell(page, 1).locator('.cm-content').click();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Alt+Shift+F');
  const formatted = /^let x = 1;\s*let y = vec!\[x, 2, 3\];\s*y$/;
  await cell(page, 1).locator('.cm-content').filter({ hasText: formatted }).waitFor();
  await cell(page, 1).scrollIntoViewIfNeeded();
  await screenshot(page, 'panel-formatted');
});

/** Selects the first cell of the grid and copies it, as a person does. */
async function copyFirst(page, frame) {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const box = await frame.locator('.lm-DataGrid').boundingBox();
  await page.mouse.click(box.x + 100, box.y + 50);
  await page.keyboard.press('Control+C');
  await page.waitForTimeout(300);
  return page.evaluate(() => navigator.clipboard.readText());
}
