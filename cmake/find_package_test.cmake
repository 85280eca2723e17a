# Installs the built project, builds examples/find_package against what was
# installed and runs it on a model.
#
#   cmake -DBUILD=.. -DCONFIG=.. -DWORK=.. -DGENERATOR=.. -DCOMPILER=..
#         -DSOURCE=.. -DMODEL=.. -P find_package_test.cmake

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result
                  OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --config "${CONFIG}"
    --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build
    -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER}
    -DCMAKE_BUILD_TYPE=${CONFIG} -DCMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/build --config "${CONFIG}")

# Nothing that was installed may point back to where it was built.
file(GLOB files ${WORK}/prefix/lib*/cmake/lathe/*.cmake
                ${WORK}/prefix/lib*/*/cmake/lathe/*.cmake)
if(NOT files)
  message(FATAL_ERROR "no package file below ${WORK}/prefix")
endif()
foreach(file ${files})
  file(READ ${file} text)
  string(FIND "${text}" "${BUILD}" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${file} names the build folder ${BUILD}")
  endif()
endforeach()

run(${WORK}/build/run_model ${MODEL})
if(NOT output MATCHES "input  latent: [0-9]+ values"
   OR NOT output MATCHES "output audio: [0-9]+ values: [-0-9.e]+ ")
  message(FATAL_ERROR "unexpected output of run_model:\n${output}")
endif()
message(STATUS "${output}")
