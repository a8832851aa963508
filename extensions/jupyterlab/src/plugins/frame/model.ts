// A frame as lumino's data grid reads it.

import { DataModel } from '@lumino/datagrid';

import { Pages } from '../../pages';
import { IPage, IPageQuery } from '../../protocol';
import { cell, thousands } from '../../text';

/** Fetches a page in some order. */
export type FetchPage = (query: IPageQuery) => Promise<IPage>;

export class FrameModel extends DataModel {
  columns: string[] = [];
  sort: string | null = null;
  descending = false;
  private dtypes: string[] = [];
  private height = 0;
  private pages: Pages;

  constructor(
    private readonly fetchPage: FetchPage,
    private readonly failed: (error: Error) => void
  ) {
    super();
    this.pages = new Pages(
      (offset, length) =>
        this.fetchPage({ offset, length, sort: this.sort, descending: this.descending }),
      (first, count) => this.arrived(first, count),
      this.failed
    );
  }

  /** Reads the frame anew: it may be another. */
  async refresh(): Promise<void> {
    const { columns, dtypes, height } = await this.fetchPage({
      offset: 0,
      length: 0,
      sort: null,
      descending: false
    });
    if (this.sort !== null && !columns.includes(this.sort)) {
      this.sort = null;
    }
    Object.assign(this, { columns, dtypes, height });
    this.pages.clear();
    this.emitChanged({ type: 'model-reset' });
  }

  /** Shows the rows in another order; null is the frame's own. */
  order(sort: string | null, descending: boolean): void {
    this.sort = sort;
    this.descending = descending;
    this.pages.clear();
    this.emitChanged({ type: 'model-reset' });
  }

  /** `10 000 000 × 3`. */
  get shape(): string {
    return `${thousands(this.height)} × ${this.columns.length}`;
  }

  rowCount(region: DataModel.RowRegion): number {
    return region === 'body' ? this.height : 2;
  }

  columnCount(region: DataModel.ColumnRegion): number {
    return region === 'body' ? this.columns.length : 1;
  }

  data(region: DataModel.CellRegion, row: number, column: number): string {
    switch (region) {
      case 'body':
        return cell(this.pages.row(row)?.[column]);
      case 'column-header':
        return row === 0 ? this.heading(column) : this.dtypes[column];
      case 'row-header':
        return String(row);
      default:
        return '';
    }
  }

  metadata(region: DataModel.CellRegion, _row: number, column: number): DataModel.Metadata {
    const numbers = region === 'body' && /^[iuf]\d|decimal/i.test(this.dtypes[column] ?? '');
    return numbers ? { type: 'number' } : {};
  }

  private heading(column: number): string {
    const name = this.columns[column];
    if (name !== this.sort) {
      return name;
    }
    return `${name} ${this.descending ? '▼' : '▲'}`;
  }

  private arrived(first: number, count: number): void {
    if (count > 0) {
      this.emitChanged({
        type: 'cells-changed',
        region: 'body',
        row: first,
        column: 0,
        rowSpan: count,
        columnSpan: this.columns.length
      });
    }
  }
}
