// Session::Run allocates nothing. Counted at malloc and mmap, which this file
// replaces for the whole test program; sanitizers do that themselves, so
// nothing is counted then.

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "src/api/test_support.h"
#include "src/base/aligned_buffer.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LATHE_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LATHE_SANITIZED 1
#endif
#if defined(LATHE_SANITIZED) || !defined(__GLIBC__)
#define LATHE_COUNTS 0
#else
#define LATHE_COUNTS 1
#endif

namespace {
std::atomic<bool> counting = false;
std::atomic<size_t> allocations = 0;

#if LATHE_COUNTS
void Count() {
  if (counting.load(std::memory_order_relaxed)) ++allocations;
}
#endif
}  // namespace

#if LATHE_COUNTS
extern "C" {
void* __libc_malloc(size_t);            // NOLINT
void* __libc_calloc(size_t, size_t);    // NOLINT
void* __libc_realloc(void*, size_t);    // NOLINT
void* __libc_memalign(size_t, size_t);  // NOLINT

void* malloc(size_t n) {
  Count();
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  Count();
  return __libc_calloc(n, size);
}
void* realloc(void* old, size_t n) {
  Count();
  return __libc_realloc(old, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  Count();
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** out, size_t alignment, size_t n) {
  Count();
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? ENOMEM : 0;
}
void* mmap(void* at, size_t n, int protection, int flags, int file,
           off_t offset) noexcept {
  Count();
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, at, n, protection, flags, file, offset));
}
}
#endif

namespace lathe {
namespace {

using importer::ModelSize;

template <typename F>
size_t AllocationsOf(const F& work) {
  allocations = 0;
  counting = true;
  work();
  counting = false;
  return allocations;
}

class Allocation : public testing::Test {
 protected:
  void SetUp() override {
    if (LATHE_COUNTS == 0)
      GTEST_SKIP() << "counts only glibc's, without sanitizers";
  }
};

TEST_F(Allocation, OfAVectorAndABufferIsCounted) {
  EXPECT_GE(AllocationsOf([] {
              std::vector<int>* volatile leaked = new std::vector<int>(100);
              delete leaked;
            }),
            2u);
  EXPECT_GE(AllocationsOf([] { ASSERT_TRUE(AlignedBuffer::Create(100)); }), 1u);
}

TEST_F(Allocation, IsNothingThatARunDoes) {
  const importer::StableAudioGraphs graphs = AuthorNameKeyed(ModelSize::kTiny);
  for (const graph::Graph* graph :
       {&graphs.conditioner, &graphs.dit, &graphs.decoder, &graphs.encoder}) {
    const auto model = OpenGraph(*graph);
    ASSERT_TRUE(model) << model.error().message;
    for (const int threads : {1, 3}) {
      for (const std::string& isa : IsasHere()) {
        Threads pool(threads);
        SessionOptions options;
        options.threads = &pool;
        options.isa = isa;
        size_t heard = 0;
        options.on_step = [&heard](size_t, double) { ++heard; };
        auto session = Session::Create(*model, options);
        ASSERT_TRUE(session) << session.error().message;
        FillAll(*session, 1);
        bool good = false;
        // The very first run counts as well.
        for (int run = 0; run < 2; ++run) {
          EXPECT_EQ(AllocationsOf([&] { good = session->Run().has_value(); }),
                    0u)
              << graph->subgraphs[0].name << ", " << threads << " threads, "
              << isa << ", run " << run;
          EXPECT_TRUE(good);
        }
        EXPECT_EQ(heard, 2 * session->steps().size());
      }
    }
  }
}

TEST_F(Allocation, IsNothingThatAccessToTensorsDoes) {
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).dit);
  ASSERT_TRUE(model) << model.error().message;
  auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(AllocationsOf([&] {
              const auto x = session->Input<float>("x");
              const auto v = session->Output<float>("velocity");
              (*x)[0] = (*v)[0];
            }),
            0u);
}

}  // namespace
}  // namespace lathe
