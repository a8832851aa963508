// Debian's chromium with a user folder of its own, and what tests do with a notebook in it.

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { ROOT } from './lab.mjs';

const SCREENSHOTS = path.join(ROOT, 'tests/screenshots');

/** Starts chromium; `await browser.stop()` ends it and removes its files. */
export async function startBrowser() {
  const home = await fs.mkdtemp(path.join(os.tmpdir(), 'oxilab-chromium-'));
  const context = await chromium.launchPersistentContext(home, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    viewport: { width: 1400, height: 1000 },
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  context.setDefaultTimeout(60_000);
  const stop = async () => {
    await context.close();
    await fs.rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  return { page: context.pages()[0] ?? (await context.newPage()), stop };
}

/** Opens a notebook and waits until its kernel is idle. */
export async function openNotebook(page, url) {
  await page.goto(url);
  await page.locator('.jp-NotebookPanel .jp-Notebook').waitFor();
  await page.waitForFunction(() => {
    const name = document.querySelector('.jp-NotebookPanel .jp-Toolbar-kernelName')?.textContent;
    const status = document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status;
    const bar = document.querySelector('#jp-main-statusbar')?.textContent ?? '';
    return name && name !== 'No Kernel' && status === 'idle' && /\| Idle/.test(bar);
  });
}

/** The cell at this position of the notebook. */
export function cell(page, index) {
  return page.locator('.jp-Notebook .jp-CodeCell').nth(index);
}

/** Runs one cell with Shift-Enter; `finished` waits for its end. */
export async function startCell(page, index) {
  await cell(page, index).locator('.cm-content').click();
  await page.keyboard.press('Shift+Enter');
}

/** Waits until the cell has its number, and returns the text of its output. */
export async function finished(page, index, timeout = 60_000) {
  const prompt = cell(page, index).locator('.jp-InputPrompt');
  await prompt.filter({ hasText: /^\[\d+\]:?$/ }).waitFor({ timeout });
  return (await cell(page, index).locator('.jp-OutputArea-output').allTextContents()).join('\n');
}

/** Chooses Run All and waits until every code cell has its number. Fails on the first error. */
export async function runAll(page, timeout = 300_000) {
  await page.getByRole('menuitem', { name: 'Run', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Run All Cells', exact: true }).click();
  const deadline = Date.now() + timeout;
  for (;;) {
    const { errors, waiting } = await page.evaluate(cellStates);
    if (errors.length > 0) throw new Error(`a cell failed:\n${errors[0]}`);
    if (waiting.length === 0) return;
    if (Date.now() > deadline) throw new Error(`not done: ${waiting.join(', ')}`);
    await page.waitForTimeout(200);
  }
}

// Runs in the page.
function cellStates() {
  const error = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]';
  const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')];
  const prompt = cell => cell.querySelector('.jp-InputPrompt')?.textContent ?? '';
  const written = cell => cell.querySelector('.cm-content')?.textContent.trim() !== '';
  return {
    errors: [...document.querySelectorAll(error)].map(node => node.textContent),
    waiting: cells.filter(written).map(prompt).filter(text => !/^\[\d+\]:?$/.test(text.trim())),
  };
}

/** What the outputs of the notebook drew: how many of each, and text on stderr. */
export function drawn(page) {
  return page.evaluate(() => {
    const outputs = '.jp-Notebook .jp-OutputArea-output';
    const visible = selector =>
      [...document.querySelectorAll(`${outputs} ${selector}`)].filter(node => {
        const box = node.getBoundingClientRect();
        return box.width > 20 && box.height > 20;
      }).length;
    const streams = document.querySelectorAll(`${outputs}[data-mime-type$="jupyter.stderr"]`);
    return {
      tables: visible('table'),
      images: visible('img'),
      svgs: visible('svg'),
      charts: visible('canvas') + visible('.vega-embed svg'),
      stderr: [...streams].map(node => node.textContent),
    };
  });
}

/** Saves the page and, below it, the outputs picked by `selector`, each in a file of its own. */
export async function screenshot(page, name, selector) {
  await fs.mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
  if (selector === undefined) return;
  const found = page.locator(selector).first();
  await found.scrollIntoViewIfNeeded();
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}-detail.png`) });
}
