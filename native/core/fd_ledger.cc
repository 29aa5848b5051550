#include "fd_ledger.h"

#include "blocking_pool.h"

namespace coreactor {
namespace {

constexpr size_t kBits = 64;

size_t Word(int fd) { return static_cast<size_t>(fd) / kBits; }
uint64_t Bit(int fd) { return uint64_t{1} << (static_cast<size_t>(fd) % kBits); }

}  // namespace

FdLedger::~FdLedger() {
  for (size_t word = 0; word < words_.size(); word++) {
    for (size_t bit = 0; words_[word] != 0 && bit < kBits; bit++) {
      const int fd = static_cast<int>(word * kBits + bit);
      if (Has(fd)) BlockingPool::OfProcess().Close(fd);
    }
  }
}

void FdLedger::Opened(int fd) {
  if (Word(fd) >= words_.size()) words_.resize(Word(fd) + 1);
  words_[Word(fd)] |= Bit(fd);
}

void FdLedger::LetGo(int fd) {
  if (fd >= 0 && Word(fd) < words_.size()) words_[Word(fd)] &= ~Bit(fd);
}

bool FdLedger::Has(int fd) const {
  return fd >= 0 && Word(fd) < words_.size() && (words_[Word(fd)] & Bit(fd)) != 0;
}

}  // namespace coreactor
