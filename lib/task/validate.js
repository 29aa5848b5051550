/** Errors for bad arguments, with Node's codes: thrown before any effect. */
function received(value) {
    if (value === null || value === undefined)
        return String(value);
    if (typeof value === 'function')
        return `function ${value.name}`;
    if (typeof value === 'object')
        return `an instance of ${value.constructor?.name ?? 'Object'}`;
    return `type ${typeof value} (${String(value)})`;
}
/** `ERR_INVALID_ARG_TYPE`, a TypeError. `expected` completes "must be …". */
export function invalidType(name, expected, value) {
    const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${received(value)}`);
    return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}
/** `ERR_OUT_OF_RANGE`, a RangeError. `expected` completes "It must be …". */
export function outOfRange(name, expected, value) {
    const error = new RangeError(`The value of "${name}" is out of range. It must be ${expected}. Received ${String(value)}`);
    return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}
/** `ERR_INVALID_ARG_VALUE`, a TypeError. */
export function invalidValue(name, problem, value) {
    const error = new TypeError(`The "${name}" argument ${problem}. Received ${received(value)}`);
    return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}
export function checkInteger(name, value, min, max) {
    if (typeof value !== 'number')
        throw invalidType(name, 'of type number', value);
    if (!Number.isInteger(value) || value < min || value > max) {
        throw outOfRange(name, `an integer >= ${min} and <= ${max}`, value);
    }
}
export function checkFunction(name, value) {
    if (typeof value !== 'function')
        throw invalidType(name, 'a function', value);
}
/** Milliseconds: any number but NaN. Negative means 0, Infinity means never. */
export function checkMilliseconds(name, value) {
    if (typeof value !== 'number')
        throw invalidType(name, 'of type number', value);
    if (Number.isNaN(value))
        throw outOfRange(name, 'a number of milliseconds', value);
}
