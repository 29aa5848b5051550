/** The entry point `coreactor/register`, for `node --import`: loading it is what it does. */
export { packages } from './node/register.js'
