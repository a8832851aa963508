// Names that plugins and tests share.

/** Ids of the commands. */
export namespace CommandIDs {
  export const formatCell = 'oxilab:format-cell';
  export const openFrame = 'oxilab:open-frame';
  export const showVariables = 'oxilab:show-variables';
}

/** Ids of the plugins. */
export namespace PluginIDs {
  export const format = 'oxilab-lab:format';
  export const variables = 'oxilab-lab:variables';
}
