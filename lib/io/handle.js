/** The sole owner of one non-blocking fd: registered for its life, closed exactly once, in the one safe order. */
import { SystemError } from '../kernel/errno.js';
import { Registration } from '../reactor/registration.js';
export class Handle extends Registration {
    constructor(runtime, fd) {
        super();
        this.runtime = runtime;
        this.kernel = runtime.kernel;
        this.fd = fd;
    }
    /** Takes the fd and has it watched. Throws `SystemError` if the kernel refuses, and has closed the fd then. */
    static adopt(runtime, fd) {
        const handle = new Handle(runtime, fd);
        const result = runtime.reactor.add(handle, fd);
        if (result < 0) {
            runtime.kernel.closeFd(fd);
            throw new SystemError(result, 'epoll_ctl');
        }
        return handle;
    }
    get closed() {
        return this.fd < 0;
    }
    /**
     * Marks, wakes, removes, closes. The waiters find it closed when they run. It must leave the kernel's queue before the
     * fd is closed: an entry whose description lives on in a dup could never be removed afterwards. Idempotent.
     */
    close() {
        const { fd, reader, writer } = this;
        if (fd < 0)
            return;
        this.fd = -1;
        this.reader = null;
        this.writer = null;
        reader?.wake();
        writer?.wake();
        this.runtime.reactor.remove(this, fd);
        // Whatever close reports, the fd is gone; what was written and not delivered shows at the peer only.
        this.kernel.closeFd(fd);
    }
}
