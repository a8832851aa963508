// The data grid draws on a canvas, so it is told the theme's colours.

import { CellRenderer, DataGrid, TextRenderer } from '@lumino/datagrid';

const color = (name: string): string =>
  getComputedStyle(document.body).getPropertyValue(`--jp-${name}`).trim();

/** Draws the grid in the colours of the current theme. */
export function applyTheme(grid: DataGrid): void {
  grid.style = {
    ...DataGrid.defaultStyle,
    voidColor: color('layout-color0'),
    backgroundColor: color('layout-color0'),
    headerBackgroundColor: color('layout-color2'),
    gridLineColor: color('border-color2'),
    headerGridLineColor: color('border-color1'),
    selectionFillColor: 'rgba(33, 150, 243, 0.2)',
    selectionBorderColor: color('brand-color1')
  };
  const text = (options: TextRenderer.IOptions) =>
    new TextRenderer({
      font: `${color('ui-font-size1') || '13px'} ${color('ui-font-family') || 'sans-serif'}`,
      textColor: color('ui-font-color1'),
      ...options
    });
  grid.cellRenderers.update({
    body: text({
      horizontalAlignment: (config: CellRenderer.CellConfig) =>
        config.metadata.type === 'number' ? 'right' : 'left',
      // A number without its first digits would be another number.
      elideDirection: 'right',
      textColor: (config: CellRenderer.CellConfig) =>
        color(config.value === 'null' || config.value === '…' ? 'ui-font-color3' : 'ui-font-color1')
    }),
    'column-header': text({
      horizontalAlignment: 'left',
      textColor: (config: CellRenderer.CellConfig) =>
        color(config.row === 0 ? 'ui-font-color1' : 'ui-font-color2')
    }),
    'row-header': text({ horizontalAlignment: 'right', textColor: color('ui-font-color2') })
  });
}
