/** The types that every operation and every body of a task share. */
export const RESUME = 1;
export const CANCEL = 2;
export const PROBE = 3;
const GeneratorFunction = Object.getPrototypeOf(function* () { });
/** Whether calling it runs none of it, and what it runs later needs no async context. Bound ones count, too. */
export function isCoroutineFunction(body) {
    return Object.getPrototypeOf(body) === GeneratorFunction;
}
