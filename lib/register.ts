/**
 * The entry point `coreactor/register`, for `node --import`: loading it is what it does.
 *
 * @module
 */
export { packages } from './node/register.js'
