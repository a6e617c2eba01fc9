// The data that the server sends, as JSDoc types. Nothing here runs.

/** @typedef {Record<string, string>} Text  a text by language, such as `{"en_US": "…"}` */
/** @typedef {{variable: string, value: string}} Condition */
/** @typedef {{code: string, message: string, file: string, line: number, path: string}} Note */
/** @typedef {{value: string, label: Text, icon: string|null, show_on: Condition[]}} Option */

/**
 * @typedef {object} Field
 * @property {string} variable
 * @property {string} type        as declared
 * @property {string} control     what Dify draws for it
 * @property {Text} label
 * @property {boolean} required   a star is drawn
 * @property {Text|null} placeholder
 * @property {Text|null} help
 * @property {"under"|"icon"|"link"|null} help_drawn_as
 * @property {Text|null} url
 * @property {any} default
 * @property {any} initial        what a new form starts with
 * @property {Option[]} options
 * @property {Condition[]} show_on
 * @property {number|null} min
 * @property {number|null} max
 * @property {number|null} step
 * @property {number|null} max_length
 * @property {boolean} multiple
 * @property {boolean} switch     a switch before the label (parameter panel)
 * @property {boolean} variable_switch
 * @property {any} scope
 * @property {any} schema
 * @property {number|null} drawn_from
 * @property {boolean} [hidden]
 * @property {number} line
 * @property {string} path
 * @property {Note[]} notes
 */

/** @typedef {{engine: "new"|"old"|"tool"|"reasoning"|"parameter"|"agent", fields: Field[]}} Form */

/**
 * @typedef {object} Problem
 * @property {string} code
 * @property {"error"|"warning"} severity
 * @property {string} message
 * @property {string} file
 * @property {string} path
 * @property {string|null} variable
 * @property {number} line
 * @property {number} column
 * @property {string|null} help
 * @property {boolean} advice  nothing has to be changed
 * @property {string} rendered
 */

/** @typedef {{kind: string, command: string[]|null, directory: string, state: "ready"|"starting"|"failed", message: string|null}} Target */
/** @typedef {{dify: string, kinds: string[], languages: string[], card: any, providers: any[]}} View */
/** @typedef {{revision: number, view: View|null, problems: Problem[], target: Target}} Plugin */

export {};
