// operator new and delete of the addon's own, for the one that is published for macOS: that has its
// C++ library within it, whose operators are exported, and weak. dyld would take them for the
// operators of the whole process. These are hidden (-fvisibility-global-new-delete=force-hidden),
// and the linker takes no others. Without exceptions, no memory is the end, but for those who ask
// for a null pointer. An addon that is compiled on a Mac uses the system's library and its
// operators.
#include <cstdlib>
#include <new>

namespace {

void* Allocated(size_t size) { return std::malloc(size == 0 ? 1 : size); }

void* Allocated(size_t size, std::align_val_t alignment) {
  // posix_memalign refuses less than a pointer's.
  const size_t at_least = alignof(void*);
  const size_t wanted = static_cast<size_t>(alignment);
  void* memory = nullptr;
  const int error =
      posix_memalign(&memory, wanted < at_least ? at_least : wanted, size == 0 ? 1 : size);
  return error == 0 ? memory : nullptr;
}

void* OrAbort(void* memory) {
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(size_t size) { return OrAbort(Allocated(size)); }
void* operator new[](size_t size) { return OrAbort(Allocated(size)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return OrAbort(Allocated(size, alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return OrAbort(Allocated(size, alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocated(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocated(size); }

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
