// What must be done with an fd that was inherited, so that it is like one that was opened here.
#pragma once

namespace coreactor {

// It ends with the next exec, and no child has it.
int SetCloseOnExec(int fd);

// Belongs to the description: whoever shares it finds it non-blocking, too.
int SetNonBlocking(int fd);

}  // namespace coreactor
