// The tour in a real JupyterLab: Run All, then look at what is on the page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { drawn, openNotebook, runAll, screenshot, startBrowser } from './browser.mjs';
import { startLab } from './lab.mjs';

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

test('the tour runs and draws tables and plots', { timeout: 600_000 }, async () => {
  const { page } = browser;
  await openNotebook(page, lab.url('00-tour.ipynb'));
  await screenshot(page, 'tour-opened');
  try {
    await runAll(page);
  } finally {
    await screenshot(page, 'tour-ran', '.jp-OutputArea-output table');
  }
  const found = await drawn(page);
  await screenshot(page, 'tour-plot', '.jp-OutputArea-output .vega-embed');
  assert.ok(found.tables >= 2, `tables: ${JSON.stringify(found)}`);
  assert.ok(found.charts >= 1, `Vega-Lite charts: ${JSON.stringify(found)}`);
  assert.ok(found.images + found.svgs >= 1, `pictures: ${JSON.stringify(found)}`);
  assert.deepEqual(found.stderr, []);
});
