/** Operations that may complete at once before their task is parked for a turn, whether or not they had to wait. */
const BUDGET_OPERATIONS = 128;
/** Or so many milliseconds, looked at every 16 operations: reading the clock costs a fifth of the cheapest operation. */
const BUDGET_MS = 0.5;
const CLOCK_EVERY = 16; // a power of two
const INITIAL_CAPACITY = 64;
export class Scheduler {
    constructor(host) {
        /** Invariant: a ring of capacity 2^n; the ready tasks are at `head`, in the order in which they became ready. */
        this.ring = new Array(INITIAL_CAPACITY).fill(null);
        this.head = 0;
        this.size = 0;
        this.budget = BUDGET_OPERATIONS;
        this.budgetStart = -1;
        /** Tasks that have been made and have not ended. */
        this.liveTasks = 0;
        this.host = host;
    }
    get hasReady() {
        return this.size > 0;
    }
    get live() {
        return this.liveTasks;
    }
    /** Appends a task that has just become ready. It runs in this turn if the turn has not begun to run tasks yet. */
    enqueue(task) {
        const capacity = this.ring.length;
        if (this.size === capacity)
            this.grow();
        this.ring[(this.head + this.size) & (this.ring.length - 1)] = task;
        if (++this.size === 1)
            this.host.wantTurn();
    }
    /** Runs the tasks that are ready now. Those that become ready meanwhile run next turn. */
    runReady() {
        for (let remaining = this.size; remaining > 0; remaining--) {
            const task = this.ring[this.head];
            this.ring[this.head] = null;
            this.head = (this.head + 1) & (this.ring.length - 1);
            this.size--;
            this.budget = BUDGET_OPERATIONS;
            this.budgetStart = -1;
            task.run();
        }
    }
    /** Counts one operation of the running task. True = it has had its share, and parks until the next turn. */
    spend() {
        if ((--this.budget & (CLOCK_EVERY - 1)) !== 0)
            return false;
        const now = this.host.now();
        if (this.budgetStart < 0)
            this.budgetStart = now;
        if (this.budget > 0 && now - this.budgetStart < BUDGET_MS)
            return false;
        this.budget = BUDGET_OPERATIONS;
        this.budgetStart = -1;
        return true;
    }
    taskStarted() {
        if (++this.liveTasks === 1)
            this.host.keepAlive(true);
    }
    taskEnded() {
        if (--this.liveTasks === 0)
            this.host.keepAlive(false);
    }
    grow() {
        const { ring, head } = this;
        const grown = new Array(ring.length * 2).fill(null);
        for (let i = 0; i < this.size; i++)
            grown[i] = ring[(head + i) & (ring.length - 1)];
        this.ring = grown;
        this.head = 0;
    }
}
