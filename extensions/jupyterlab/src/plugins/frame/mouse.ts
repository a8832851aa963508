// A double click on a column's header sorts by it.

import { BasicMouseHandler, DataGrid } from '@lumino/datagrid';

export class SortingMouse extends BasicMouseHandler {
  constructor(private readonly sortBy: (column: number) => void) {
    super();
  }

  onMouseDoubleClick(grid: DataGrid, event: MouseEvent): void {
    const hit = grid.hitTest(event.clientX, event.clientY);
    if (hit.region === 'column-header') {
      this.sortBy(hit.column);
    } else {
      super.onMouseDoubleClick(grid, event);
    }
  }
}
