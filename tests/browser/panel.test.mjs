// The extension: the panel lists variables and sorts them, a frame of ten million rows opens as a grid,
// a cell is formatted; in the dark theme too, and after a restart.

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
  'let names = vec!["Edsger".to_owned()];',
  'big.head(Some(3))'
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
  await clickFirst(page, frame);
  assert.match(await copy(page), /9999999/);
});

test('far down, the grid shows the rows that stand there', { timeout: 180_000 }, async () => {
  const { page } = browser;
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const frame = page.locator('.oxilab-Frame');
  await frame.getByLabel('Sort by').selectOption('');
  await clickFirst(page, frame);
  await copied(page, '0');
  await page.keyboard.press('Control+ArrowDown');
  await copied(page, '9999999');
  for (let up = 0; up < 3; up++) await page.keyboard.press('ArrowUp');
  await copied(page, '9999996');
  await page.keyboard.press('ArrowRight');
  await copied(page, '4999998');
  await screenshot(page, 'panel-frame-end');

  // With the mouse: the bar's thumb to the middle.
  const bar = frame.locator('.lm-ScrollBar[data-orientation="vertical"]');
  const track = await bar.locator('.lm-ScrollBar-track').boundingBox();
  const thumb = await bar.locator('.lm-ScrollBar-thumb').boundingBox();
  const x = thumb.x + thumb.width / 2;
  await page.mouse.move(x, thumb.y + thumb.height / 2);
  await page.mouse.down();
  await page.mouse.move(x, track.y + track.height / 2, { steps: 5 });
  await page.mouse.up();
  await clickFirst(page, frame);
  let n = NaN;
  for (let look = 0; look < 50 && !(n > 4_000_000 && n < 6_000_000 && n !== 4_999_998); look++) {
    n = Number(await copy(page));
  }
  assert.ok(n > 4_000_000 && n < 6_000_000, `in the middle: ${n}`);
  await page.keyboard.press('ArrowRight');
  await copied(page, String(n / 2));
  await screenshot(page, 'panel-frame-middle');
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

test('everything can be read in the dark theme', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 3);
  await finished(page, 3);
  const grid = page.locator('.oxilab-Frame .lm-DataGrid-viewport');
  const light = await brightness(grid);
  assert.ok(light > 0.8, `the light theme: ${light}`);
  await menu(page, 'Settings', 'Theme', 'JupyterLab Dark');
  await page.locator('body[data-jp-theme-light="false"]').waitFor({ state: 'attached' });
  // The grid is drawn again after the theme's colours have come.
  for (let look = 0; look < 50 && (await brightness(grid)) > 0.3; look++) await page.waitForTimeout(100);
  assert.ok((await brightness(grid)) <= 0.3, 'the grid stays light');
  for (const place of [
    '.oxilab-Variables td', '.oxilab-Variables td a', '.oxilab-Variables td code',
    '.oxilab-Variables th button', '.oxilab-Frame-note',
  ]) {
    const found = await page.locator(place).first().evaluate(contrast);
    assert.ok(found >= 4.5, `${place}: contrast ${found.toFixed(1)}`);
  }
  await cell(page, 3).scrollIntoViewIfNeeded();
  await screenshot(page, 'panel-dark');
  await menu(page, 'Settings', 'Theme', 'JupyterLab Light');
  await page.locator('body[data-jp-theme-light="true"]').waitFor({ state: 'attached' });
});

test('after a restart the panel is that of the new kernel', { timeout: 180_000 }, async () => {
  const { page } = browser;
  await menu(page, 'Kernel', 'Restart Kernel…');
  await page.locator('.jp-Dialog .jp-mod-accept').click();
  await page.locator('.oxilab-Variables-note', { hasText: 'No variables yet.' }).waitFor();
  assert.deepEqual(await names(page), []);
  // The tab of a frame that is gone says so.
  const gone = page.locator('.oxilab-Frame.oxilab-Frame-gone [role="status"]');
  await gone.filter({ hasText: 'there is no variable `big`; the rows are of before' }).waitFor();
  await screenshot(page, 'panel-restarted');
  await startCell(page, 2);
  await row(page, 'names').filter({ hasText: 'len 1' }).waitFor();
  assert.deepEqual(await names(page), ['names']);
  // Made again, the frame is in its tab again.
  await startCell(page, 0);
  await row(page, 'big').waitFor();
  const frame = page.locator('.oxilab-Frame:not(.oxilab-Frame-gone)');
  await frame.locator('[role="status"]').filter({ hasText: /^$/ }).waitFor({ state: 'attached' });
  await clickFirst(page, frame);
  await page.keyboard.press('Control+ArrowUp');
  await copied(page, '0');
});

/** Selects the first cell of the grid. */
async function clickFirst(page, frame) {
  const box = await frame.locator('.lm-DataGrid').boundingBox();
  await page.mouse.click(box.x + 100, box.y + 50);
}

/** What Control-C takes of the grid. */
async function copy(page) {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.keyboard.press('Control+C');
  await page.waitForTimeout(100);
  return page.evaluate(() => navigator.clipboard.readText());
}

/** Waits until the selected cell, whose page may be on its way, is this. */
async function copied(page, text) {
  let found;
  for (let look = 0; look < 50 && found !== text; look++) found = (await copy(page)).trim();
  assert.equal(found, text);
}

/** Chooses in the menu bar: a menu, and then what stands in it. */
async function menu(page, name, ...labels) {
  await page.getByRole('menuitem', { name, exact: true }).click();
  for (const label of labels) {
    await page.locator('.lm-Menu-itemLabel').getByText(label, { exact: true }).click();
  }
}

/** The mean brightness of what the grid has drawn, from 0 to 1. */
function brightness(grid) {
  return grid.evaluate(grid => {
    let [sum, count] = [0, 0];
    for (const canvas of grid.querySelectorAll('canvas')) {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) {
        // What is not drawn on is transparent.
        if (data[at + 3] < 255) continue;
        sum += (data[at] + data[at + 1] + data[at + 2]) / 3 / 255;
        count += 1;
      }
    }
    return sum / count;
  });
}

// Runs in the page: how well a text stands out from what is behind it, as WCAG counts it.
function contrast(node) {
  const numbers = text => text.match(/[\d.]+/g).map(Number);
  const luminance = color => {
    const [r, g, b] = numbers(color).slice(0, 3).map(value => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = node;
  const shown = color => (numbers(color)[3] ?? 1) > 0;
  while (behind.parentElement && !shown(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const pair = [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor].map(luminance);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}
