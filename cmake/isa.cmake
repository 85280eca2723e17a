# File suffix → compiler flags. Naming a file x86_avx512.cc is enough.
set(LATHE_ISA_x86_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2 -maes -mpclmul)
set(LATHE_ISA_x86_avxvnni ${LATHE_ISA_x86_avx2} -mavxvnni)
set(LATHE_ISA_x86_avx512
    ${LATHE_ISA_x86_avx2} -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl
    -mprefer-vector-width=512)
set(LATHE_ISA_x86_avx512vnni ${LATHE_ISA_x86_avx512} -mavx512vnni)
set(LATHE_ISA_arm64_neon)

# GCC 12 warns about the undefined value inside its own AVX-512 header.
list(APPEND LATHE_ISA_x86_avx512
     $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> -Wno-uninitialized)

# Sets the flags of every file of the list whose name ends in a known suffix.
function(lathe_isa_flags)
  foreach(source ${ARGN})
    get_filename_component(stem ${source} NAME_WE)
    foreach(isa x86_avx512vnni x86_avx512 x86_avxvnni x86_avx2 arm64_neon)
      if(stem MATCHES "${isa}$")
        set_source_files_properties(
          ${source} PROPERTIES COMPILE_OPTIONS "${LATHE_ISA_${isa}}")
      endif()
    endforeach()
  endforeach()
endfunction()
