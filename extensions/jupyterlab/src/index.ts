// JupyterLab's side of the Rust kernel oxilab.

import { format } from './plugins/format/plugin';
import { variables } from './plugins/variables/plugin';

export default [variables, format];
