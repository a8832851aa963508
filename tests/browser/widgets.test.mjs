// Widgets in JupyterLab: a slider moves a plot, buttons, drop-downs, fields and boxes call Rust.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cell, finished, openNotebook, screenshot, startBrowser, startCell } from './browser.mjs';
import { startLab, writeNotebook } from './lab.mjs';

const CELLS = [
  `fn wave(n: i32) -> anyhow::Result<Figure> {
    Ok(figure((420, 220), |root| {
        use plotters::prelude::*;
        root.fill(&WHITE)?;
        let points: Vec<(i32, i32)> =
            (0..400).map(|x| (10 + x, 110 + (90.0 * (f64::from(x * n) / 63.0).sin()) as i32)).collect();
        root.draw(&PathElement::new(points, BLUE.stroke_width(2)))?;
        Ok(())
    })?)
}`,
  'interact(("waves", 1..=9), wave);',
  `let said = widgets::Label::new("nothing yet");
let kind = Dropdown::new(["linear", "boosted"]).with_description("model");
let button = Button::new("Say it");
let (label, chosen) = (said.clone(), kind.clone());
button.on_click(move || label.set_value(format!("it is {}", chosen.value())));
VBox::new((&kind, &button, &said))`,
  'kind.value()',
  `let bad = Button::new("Panic");
bad.on_click(|| panic!("on purpose"));
bad`,
  '1 + 1',
  `interact((("name", "Ada"), ("loud", false)), |(name, loud): (String, bool)| {
    let text = format!("hello, {name}");
    html(format!("<b>{}</b>", if loud { text.to_uppercase() } else { text }))
});`
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

const picture = page => cell(page, 1).locator('.jp-OutputArea-output img');

/** Presses a key on the slider; resolves with the milliseconds until another picture is there. */
function movePlot(page, key) {
  return page.evaluate(async key => {
    const area = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[1];
    const handle = area.querySelector('.noUi-handle');
    const source = () => area.querySelector('.jp-OutputArea-output img')?.src;
    const before = source();
    const changed = new Promise((resolve, reject) => {
      const observer = new MutationObserver(() => {
        if (source() && source() !== before) {
          observer.disconnect();
          resolve(performance.now());
        }
      });
      observer.observe(area, { subtree: true, childList: true, attributes: true });
      setTimeout(() => reject(new Error('the plot did not change within 10 s')), 10_000);
    });
    handle.focus();
    const start = performance.now();
    handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    return (await changed) - start;
  }, key);
}

test('a slider moves a plot', { timeout: 180_000 }, async () => {
  const { page } = browser;
  const url = lab.url(await writeNotebook(lab, 'widgets.ipynb', CELLS));
  await openNotebook(page, url);
  for (const index of [0, 1]) {
    await startCell(page, index);
    await finished(page, index);
  }
  await picture(page).waitFor();
  await cell(page, 1).locator('.widget-slider').waitFor();
  await screenshot(page, 'widgets-slider-before');
  const times = [];
  for (const key of ['Right', 'Right', 'Left', 'Right', 'Left', 'Left', 'Right']) {
    times.push(await movePlot(page, key));
    await page.waitForTimeout(100);
  }
  times.sort((a, b) => a - b);
  console.log(`slider to plot: median ${times[3].toFixed(0)} ms, slowest ${times[6].toFixed(0)} ms`);
  assert.match(await cell(page, 1).locator('.widget-readout').first().textContent(), /6/);
  await screenshot(page, 'widgets-slider-after');
  assert.ok(times[3] < 100, `median ${times[3]} ms`);
});

test('a button and a drop-down call Rust', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 2);
  await finished(page, 2);
  const area = cell(page, 2);
  await area.locator('select').selectOption('boosted');
  await area.locator('button.widget-button').click();
  await area.locator('.widget-label', { hasText: 'it is boosted' }).waitFor();
  await startCell(page, 3);
  assert.match(await finished(page, 3), /"boosted"/);
});

test('a field and a box to tick call Rust', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 6);
  await finished(page, 6);
  const area = cell(page, 6);
  const said = text => area.locator('.jp-OutputArea-output b').getByText(text, { exact: true }).waitFor();
  await said('hello, Ada');
  const field = area.locator('.widget-text input');
  await field.fill('');
  await field.pressSequentially('Grace');
  await said('hello, Grace');
  const box = area.locator('.widget-checkbox input');
  await box.check();
  await said('HELLO, GRACE');
  await box.uncheck();
  await said('hello, Grace');
  await area.scrollIntoViewIfNeeded();
  await screenshot(page, 'widgets-fields');
});

test('a callback that panics is an error below its cell', { timeout: 120_000 }, async () => {
  const { page } = browser;
  await startCell(page, 4);
  await finished(page, 4);
  await cell(page, 4).locator('button.widget-button').click();
  const error = cell(page, 4).locator('[data-mime-type="application/vnd.jupyter.stderr"], ' +
    '[data-mime-type="application/vnd.jupyter.error"]');
  await error.filter({ hasText: 'on purpose' }).waitFor();
  await startCell(page, 5);
  assert.match(await finished(page, 5), /2/);
  await cell(page, 4).scrollIntoViewIfNeeded();
  await screenshot(page, 'widgets-callbacks');
});
