// A frame in a tab: a toolbar with its shape and order, and a grid that fetches what is looked at.

import { IThemeManager, MainAreaWidget, ReactWidget } from '@jupyterlab/apputils';
import { HTMLSelect, spreadsheetIcon, Toolbar } from '@jupyterlab/ui-components';
import { BasicKeyHandler, BasicSelectionModel, DataGrid } from '@lumino/datagrid';
import { Debouncer } from '@lumino/polling';
import * as React from 'react';

import { KernelClient } from '../../kernel';
import { FrameModel } from './model';
import { SortingMouse } from './mouse';
import { applyTheme } from './theme';

/** Cells end in quick succession with Run All. */
const PAUSE = 150;

/** In pixels: a float with all its digits fits. */
const SIZES = { rowHeight: 20, columnWidth: 128, rowHeaderWidth: 80, columnHeaderHeight: 20 };

export class FrameWidget extends MainAreaWidget<DataGrid> {
  private readonly model: FrameModel;
  private readonly bar: FrameBar;
  private readonly refresher = new Debouncer(() => this.refresh(), PAUSE);

  constructor(
    readonly name: string,
    private readonly client: KernelClient,
    private readonly themes: IThemeManager | null
  ) {
    super({
      content: new DataGrid({ headerVisibility: 'all', defaultSizes: SIZES }),
      toolbar: new Toolbar()
    });
    this.id = `oxilab-frame-${client.session.path}-${name}`;
    this.addClass('oxilab-Frame');
    this.title.label = name;
    this.title.icon = spreadsheetIcon;
    this.title.closable = true;
    this.model = new FrameModel(
      query => client.page(name, query),
      error => this.lost(error)
    );
    this.bar = new FrameBar(this.model, () => this.ordered());
    this.toolbar.addItem('bar', this.bar);
    const grid = this.content;
    grid.dataModel = this.model;
    grid.keyHandler = new BasicKeyHandler();
    grid.mouseHandler = new SortingMouse(column => this.sortBy(column));
    grid.selectionModel = new BasicSelectionModel({ dataModel: this.model });
    grid.copyConfig = { ...DataGrid.defaultCopyConfig, separator: '\t' };
    this.restyle();
    themes?.themeChanged.connect(this.restyle, this);
    client.changed.connect(this.changed, this);
    void this.refresh();
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.refresher.dispose();
    this.client.changed.disconnect(this.changed, this);
    this.themes?.themeChanged.disconnect(this.restyle, this);
    super.dispose();
  }

  /** Whether this is a frame of that notebook. */
  isOf(client: KernelClient): boolean {
    return this.client === client;
  }

  private changed(): void {
    void this.refresher.invoke().catch(() => undefined);
  }

  private async refresh(): Promise<void> {
    if (this.client.isBusy) {
      this.bar.note('waits for the running cell');
    }
    try {
      await this.model.refresh();
      this.found();
    } catch (error) {
      this.lost(error as Error);
    }
  }

  private found(): void {
    this.removeClass('oxilab-Frame-gone');
    this.bar.note('');
  }

  /** What is shown stays, as what it is: the frame's tab may be all that is left of it. */
  private lost(error: Error): void {
    this.addClass('oxilab-Frame-gone');
    this.bar.note(`${error.message}; the rows are of before`);
  }

  private sortBy(column: number): void {
    const name = this.model.columns[column];
    this.model.order(name, this.model.sort === name && !this.model.descending);
    this.ordered();
  }

  private ordered(): void {
    this.found();
    this.content.scrollTo(this.content.scrollX, 0);
  }

  private restyle(): void {
    applyTheme(this.content);
  }
}

/** Shape, order and notes. */
class FrameBar extends ReactWidget {
  private text = '';

  constructor(
    private readonly model: FrameModel,
    private readonly ordered: () => void
  ) {
    super();
    this.addClass('oxilab-Frame-bar');
  }

  note(text: string): void {
    this.text = text;
    this.update();
  }

  render(): JSX.Element {
    const { model } = this;
    const order = (sort: string | null, descending: boolean) => {
      model.order(sort, descending);
      this.ordered();
      this.update();
    };
    return (
      <div className="oxilab-Frame-sort">
        <span className="oxilab-Frame-note" data-part="shape">
          {model.shape}
        </span>
        <HTMLSelect
          aria-label="Sort by"
          value={model.sort ?? ''}
          onChange={event => order(event.target.value || null, model.descending)}
        >
          <option value="">in the frame’s order</option>
          {model.columns.map(column => (
            <option key={column} value={column}>
              {column}
            </option>
          ))}
        </HTMLSelect>
        <label>
          <input
            type="checkbox"
            disabled={model.sort === null}
            checked={model.descending}
            onChange={event => order(model.sort, event.target.checked)}
          />
          descending
        </label>
        <span className="oxilab-Frame-note" role="status">
          {this.text}
        </span>
      </div>
    );
  }
}
