/**
 * The kernel that is the operating system: the C++ addon behind the `Kernel` interface. The only file that loads it.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { assertLayout, CONTROL_DISPATCHING, CONTROL_INTS, CONTROL_REQUESTED } from './layout.js';
function loadAddon() {
    const path = process.env['COREACTOR_NATIVE'] ?? fileURLToPath(new URL('../../build/Release/coreactor.node', import.meta.url));
    if (!existsSync(path)) {
        throw new Error(`coreactor: no native addon for ${process.platform}-${process.arch} at ${path}; run "npm run build:native", ` +
            'or set COREACTOR_NATIVE to the path of one');
    }
    const addon = createRequire(import.meta.url)(path);
    assertLayout(addon.layout);
    return addon;
}
/** Opens the operating system for this thread. Throws if the addon is missing or was built from other sources. */
export function nativeKernel() {
    const addon = loadAddon();
    let driver = null;
    let control = new Int32Array(CONTROL_INTS);
    let events = new Int32Array(0);
    const opened = () => {
        if (driver === null)
            throw new Error('coreactor: the kernel is not open');
        return driver;
    };
    return {
        get events() {
            return events;
        },
        open(turn) {
            if (driver !== null)
                throw new Error('coreactor: the kernel is open already');
            driver = new addon.Driver(turn);
            control = new Int32Array(driver.buffer, 0, CONTROL_INTS);
            events = new Int32Array(driver.buffer, control.byteLength);
        },
        close() {
            driver?.close();
            driver = null;
        },
        requestTurn() {
            if (control[CONTROL_DISPATCHING] === 1)
                control[CONTROL_REQUESTED] = 1;
            else
                opened().requestTurn();
        },
        ref: () => opened().ref(),
        unref: () => opened().unref(),
        add: (fd, interest, mode, slot, generation) => opened().add(fd, interest, mode, slot, generation),
        remove: (fd) => opened().remove(fd),
        now: addon.now,
        entropy: addon.entropy,
        socket: addon.socket,
        bind: (fd, { address, port }) => addon.bind(fd, address, port),
        listen: addon.listen,
        connect: (fd, { address, port }) => addon.connect(fd, address, port),
        accept: addon.accept,
        localAddress: addon.localAddress,
        remoteAddress: addon.remoteAddress,
        setOption: addon.setOption,
        getOption: addon.getOption,
        receive: addon.receive,
        send: addon.send,
        sendVector: addon.sendVector,
        shutdown: addon.shutdown,
        closeFd: addon.closeFd
    };
}
