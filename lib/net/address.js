/** Socket addresses as users write them. Names are not resolved: a host is a numeric address, or `localhost`. */
import { isIP } from 'node:net';
import { CoreactorError } from '../task/errors.js';
import { checkInteger, invalidType, invalidValue } from '../task/validate.js';
/** The host is a name, and names are not resolved here. */
export class HostNotNumericError extends CoreactorError {
    constructor(host) {
        super('ERR_COREACTOR_HOST_NOT_NUMERIC', `"${host}" is not an IP address, and names are not resolved: look it up first`);
        this.host = host;
    }
}
/** Checks both, and gives them as the kernel takes them. Throws before any effect. */
export function socketAddress(options, defaultHost, leastPort) {
    if (options === null || typeof options !== 'object')
        throw invalidType('options', 'an object', options);
    const { port, host = defaultHost } = options;
    if ('path' in options)
        throw invalidValue('options.path', 'is not supported: only TCP is', options.path);
    checkInteger('options.port', port, leastPort, 65535);
    if (typeof host !== 'string')
        throw invalidType('options.host', 'of type string', host);
    const address = host === 'localhost' ? '127.0.0.1' : host;
    const family = isIP(address);
    if (family === 0)
        throw new HostNotNumericError(host);
    return { family: family === 4 ? 'IPv4' : 'IPv6', address, port };
}
