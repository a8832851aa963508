import { IVariable } from '../protocol';
import { clicked, Order, sorted } from '../sorting';
import { bytes, cell, thousands } from '../text';

it('writes bytes with three figures at most', () => {
  expect([0, 999, 1000, 30_100, 999_600, 2_345_678, 5e13].map(bytes)).toEqual([
    '0 B', '999 B', '1.0 kB', '30.1 kB', '1.0 MB', '2.3 MB', '50.0 TB'
  ]);
});

it('sets thousands apart and shows what is missing', () => {
  expect(thousands(10_000_000)).toBe('10\u202f000\u202f000');
  expect(thousands(398)).toBe('398');
  expect([undefined, null, 1.5, false, ''].map(cell)).toEqual(['…', 'null', '1.5', 'false', '']);
});

describe('the order of variables', () => {
  const variable = (name: string, shape: string | null, size: number): IVariable => ({
    name, type_name: 'T', shape, bytes: size, preview: '', pages: false
  });
  const variables = [variable('x10', null, 5), variable('x9', 'len 20', 70), variable('a', 'len 3', 6)];
  const names = (order: Order) => sorted(variables, order).map(({ name }) => name);

  it('goes up, down and back to as made', () => {
    const up = clicked(null, 'name');
    const down = clicked(up, 'name');
    expect([names(up), names(down)]).toEqual([['a', 'x9', 'x10'], ['x10', 'x9', 'a']]);
    expect(clicked(down, 'name')).toBeNull();
    expect(clicked(down, 'bytes')).toEqual({ key: 'bytes', descending: false });
    expect(names(null)).toEqual(['x10', 'x9', 'a']);
  });

  it('knows numbers, and puts what has no shape last', () => {
    expect(names({ key: 'bytes', descending: true })).toEqual(['x9', 'a', 'x10']);
    expect(names({ key: 'shape', descending: false })).toEqual(['a', 'x9', 'x10']);
    expect(names({ key: 'shape', descending: true })).toEqual(['x9', 'a', 'x10']);
  });
});
