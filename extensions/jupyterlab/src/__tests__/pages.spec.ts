import { PAGE, Pages } from '../pages';
import { IPage } from '../protocol';

const page = (offset: number, length: number): IPage => ({
  columns: ['n'],
  dtypes: ['i64'],
  rows: Array.from({ length }, (_, index) => [offset + index]),
  height: 10_000_000
});

function setup() {
  const fetched: number[] = [];
  const arrived: [number, number][] = [];
  const failed: string[] = [];
  const pages = new Pages(
    async (offset, length) => {
      fetched.push(offset);
      if (offset === 4 * PAGE) {
        throw new Error('no such page');
      }
      return page(offset, length);
    },
    (first, count) => arrived.push([first, count]),
    error => failed.push(error.message)
  );
  return { pages, fetched, arrived, failed };
}

const settled = () => new Promise(resolve => setTimeout(resolve, 0));

it('fetches a page once, when a row of it is looked at', async () => {
  const { pages, fetched, arrived } = setup();
  expect(pages.row(9_999_999)).toBeUndefined();
  expect(pages.row(9_999_998)).toBeUndefined();
  await settled();
  expect(fetched).toEqual([9_999_800]);
  expect(arrived).toEqual([[9_999_800, PAGE]]);
  expect(pages.row(9_999_999)).toEqual([9_999_999]);
});

it('keeps the last used pages and no more', async () => {
  const { pages, fetched } = setup();
  for (let number = 5; number < 305; number++) {
    pages.row(number * PAGE);
    await settled();
    pages.row(5 * PAGE);
  }
  expect(fetched.filter(offset => offset === 5 * PAGE)).toHaveLength(1);
  pages.row(6 * PAGE);
  expect(fetched.filter(offset => offset === 6 * PAGE)).toHaveLength(2);
});

it('drops what arrives after a change, and reports a failure once', async () => {
  const { pages, fetched, arrived, failed } = setup();
  pages.row(0);
  pages.clear();
  await settled();
  expect(arrived).toEqual([]);
  pages.row(0);
  await settled();
  expect(fetched).toEqual([0, 0]);
  pages.row(4 * PAGE);
  pages.row(4 * PAGE);
  await settled();
  pages.row(4 * PAGE);
  expect(failed).toEqual(['no such page']);
});
