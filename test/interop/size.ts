/** Whether the short form runs: the same behaviour with smaller numbers. */
export const quick = process.env['INTEROP_QUICK'] === '1'
