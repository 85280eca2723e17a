# lathe_room(NAME DEPS room... LIBS library... TEST_LIBS library...
#            LABELS label...)
#
# Makes the static library lathe_NAME of every .cc below this folder, the test
# program NAME_test of its *_test.cc and NAME_bench of its *_bench.cc. A new
# file needs no edit here. The test gets the labels; "threads" is for ./dev tsan.
function(lathe_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-unused-parameter
    -Wno-psabi $<$<BOOL:${LATHE_WERROR}>:-Werror> -ffp-contract=off)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:include>)
  if(LATHE_SANITIZE STREQUAL "address")
    target_compile_options(${target} PUBLIC -fsanitize=address,undefined
      -fno-sanitize-recover=undefined -fno-omit-frame-pointer
      -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/cmake/sanitizer_ignore.txt)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(LATHE_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PUBLIC -fsanitize=thread)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  endif()
  if(LATHE_FUZZ)
    target_compile_options(${target} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# Code that no user waits for, in a release build: with -O3 it takes half as long
# again to compile.
function(lathe_quick_to_compile target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

function(lathe_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;TEST_LIBS;LABELS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|main)\\.cc$")
  lathe_isa_flags(${sources})

  add_library(lathe_${name} STATIC ${sources})
  lathe_flags(lathe_${name})
  foreach(dep ${ROOM_DEPS})
    target_link_libraries(lathe_${name} PUBLIC lathe_${dep})
  endforeach()
  target_link_libraries(lathe_${name} PUBLIC fmt::fmt Threads::Threads
                                             ${ROOM_LIBS})
  if(LATHE_TESTS AND tests)
    add_executable(${name}_test ${tests})
    lathe_flags(${name}_test)
    lathe_quick_to_compile(${name}_test)
    target_link_libraries(${name}_test PRIVATE lathe_${name} GTest::gtest
      GTest::gtest_main GTest::gmock ${ROOM_TEST_LIBS})
    add_test(NAME ${name} COMMAND ${name}_test
             WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS "${ROOM_LABELS}")
  endif()
  if(LATHE_BENCHMARKS AND benches)
    add_executable(${name}_bench ${benches})
    lathe_flags(${name}_bench)
    target_link_libraries(${name}_bench PRIVATE lathe_${name}
                          benchmark::benchmark benchmark::benchmark_main)
  endif()
endfunction()
