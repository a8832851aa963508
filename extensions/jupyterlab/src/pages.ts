// Pages of a frame of any height: fetched when a row is looked at, the last used kept.

import { IPage, Value } from './protocol';

/** Rows of a page. */
export const PAGE = 200;
/** Pages kept; with twenty columns some megabytes. */
const KEPT = 100;

/** Fetches `length` rows from `offset`. */
export type Fetch = (offset: number, length: number) => Promise<IPage>;

/** Rows that arrived: the first and how many. */
export type Arrived = (first: number, count: number) => void;

export class Pages {
  private pages = new Map<number, Value[][]>();
  private asked = new Set<number>();
  private generation = 0;

  constructor(
    private readonly fetch: Fetch,
    private readonly arrived: Arrived,
    private readonly failed: (error: Error) => void
  ) {}

  /** A row, or undefined until it arrives. */
  row(index: number): Value[] | undefined {
    const number = Math.floor(index / PAGE);
    const page = this.pages.get(number);
    if (page === undefined) {
      this.ask(number);
      return undefined;
    }
    // The last used stand last.
    this.pages.delete(number);
    this.pages.set(number, page);
    return page[index - number * PAGE];
  }

  /** Forgets everything: the frame or its order is another now. */
  clear(): void {
    this.pages.clear();
    this.asked.clear();
    this.generation += 1;
  }

  private ask(number: number): void {
    if (this.asked.has(number)) {
      return;
    }
    this.asked.add(number);
    const generation = this.generation;
    this.fetch(number * PAGE, PAGE).then(
      page => {
        if (generation !== this.generation) {
          return;
        }
        this.asked.delete(number);
        this.keep(number, page.rows);
        this.arrived(number * PAGE, page.rows.length);
      },
      (error: Error) => {
        // Stays asked, or every drawing would ask again; `clear` forgets it.
        if (generation === this.generation) {
          this.failed(error);
        }
      }
    );
  }

  private keep(number: number, rows: Value[][]): void {
    this.pages.set(number, rows);
    for (const oldest of this.pages.keys()) {
      if (this.pages.size <= KEPT) {
        return;
      }
      this.pages.delete(oldest);
    }
  }
}
