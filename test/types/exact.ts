/** Assertions about types, checked by the compiler and by nothing else. */

/** True exactly when the two are the same type: `any` equals only `any`, and a union only itself. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** `exactly<number>()(value)` compiles only if the type of `value` is number. The error says what it is. */
export declare function exactly<Wanted>(): <Found>(value: Found & (Equal<Found, Wanted> extends true ? unknown : never)) => void
