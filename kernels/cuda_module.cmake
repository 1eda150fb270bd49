# The module of the GPU's kernels, purecert._cuda. PURECERT_CUDA (a CMake variable, else an environment variable) says:
#   auto  build it where nvcc works, else say that it is left out (the default)
#   on    build it or fail
#   off   leave it out
# nvcc is called directly and not as a CMake language: the nvcc of the Python wheels lacks parts that CMake's own check
# of a CUDA compiler asks for, and nothing here needs them.
if(NOT DEFINED PURECERT_CUDA)
  set(PURECERT_CUDA "$ENV{PURECERT_CUDA}")
endif()
if(PURECERT_CUDA STREQUAL "")
  set(PURECERT_CUDA auto)
endif()
if(NOT PURECERT_CUDA MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "expected PURECERT_CUDA=auto, on or off, got '${PURECERT_CUDA}'")
endif()

# Machine code for what is named here and known to the compiler; PTX of the oldest and of the newest for the rest.
set(PURECERT_CUDA_ARCHITECTURES 80 86 89 90 100 120)

# Set `reason` to why there is nothing to build, or to nothing.
function(find_cuda reason)
  # Another build's cache may name a compiler that is gone (a build's own environment is), or another toolkit's library.
  if(PURECERT_NVCC AND NOT EXISTS "${PURECERT_NVCC}")
    unset(PURECERT_NVCC CACHE)
  endif()
  unset(PURECERT_CUDART CACHE)
  find_program(PURECERT_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT PURECERT_NVCC)
    set(${reason} "no nvcc found (PATH, CUDA_HOME)" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${PURECERT_NVCC} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  set(chosen "")
  set(targets "")
  foreach(number ${PURECERT_CUDA_ARCHITECTURES})
    if(known MATCHES "sm_${number}[\n\r]")
      list(APPEND chosen ${number})
      list(APPEND targets -gencode arch=compute_${number},code=sm_${number})
    endif()
  endforeach()
  if(NOT chosen)
    set(${reason} "${PURECERT_NVCC} knows none of the architectures ${PURECERT_CUDA_ARCHITECTURES}" PARENT_SCOPE)
    return()
  endif()
  foreach(end 0 -1)
    list(GET chosen ${end} number)
    list(APPEND targets -gencode arch=compute_${number},code=compute_${number})
  endforeach()
  list(REMOVE_DUPLICATES chosen)
  set(flags -O3 -std=c++17 --threads 0 -Xcompiler -fPIC,-fvisibility=hidden ${targets})
  # Among what can go wrong is a host compiler that this nvcc does not accept.
  set(trial ${CMAKE_CURRENT_BINARY_DIR}/trial)
  file(WRITE ${trial}.cu "#include <cuda_runtime.h>\n#include <string>\n__global__ void trial() {}\n")
  execute_process(COMMAND ${PURECERT_NVCC} ${flags} -c ${trial}.cu -o ${trial}.o RESULT_VARIABLE failed
                  ERROR_VARIABLE error OUTPUT_QUIET)
  if(failed)
    set(${reason} "${PURECERT_NVCC} does not compile (${failed}): ${error}" PARENT_SCOPE)
    return()
  endif()
  # A dry run prints where the toolkit lies; the compiler itself may be a link or a script.
  execute_process(COMMAND ${PURECERT_NVCC} -dryrun -c any.cu ERROR_VARIABLE plan OUTPUT_QUIET)
  string(REGEX MATCH "TOP=([^\n\r]*)" _ "${plan}")
  get_filename_component(top "${CMAKE_MATCH_1}" ABSOLUTE)
  find_library(PURECERT_CUDART cudart_static HINTS ${top}
               PATH_SUFFIXES lib64 lib targets/${CMAKE_SYSTEM_PROCESSOR}-linux/lib targets/sbsa-linux/lib)
  if(NOT PURECERT_CUDART)
    set(${reason} "no libcudart_static.a below ${top}" PARENT_SCOPE)
    return()
  endif()
  set(PURECERT_CUDA_CHOSEN ${chosen} PARENT_SCOPE)
  set(PURECERT_CUDA_FLAGS ${flags} PARENT_SCOPE)
  set(${reason} "" PARENT_SCOPE)
endfunction()

function(add_cuda_module)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/include/purecert/*.h)
  set(objects "")
  foreach(name batch_cuda capture_cuda)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/kernels/src/${name}.cu)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    list(APPEND objects ${object})
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${PURECERT_NVCC} ${PURECERT_CUDA_FLAGS} -I${CMAKE_CURRENT_SOURCE_DIR}/kernels/include -c ${source}
              -o ${object}
      DEPENDS ${source} ${headers}
      COMMENT "Compiling ${name}.cu for ${PURECERT_CUDA_CHOSEN}"
      VERBATIM)
  endforeach()
  nanobind_add_module(_cuda NOMINSIZE kernels/src/cuda_bindings.cpp kernels/src/batch_bindings.cpp ${objects})
  target_include_directories(_cuda PRIVATE kernels/include)
  target_compile_features(_cuda PRIVATE cxx_std_17)
  target_compile_options(_cuda PRIVATE -Wall -Wextra)
  string(REPLACE ";" " " names "${PURECERT_CUDA_CHOSEN}")
  target_compile_definitions(_cuda PRIVATE "PURECERT_CUDA_ARCHITECTURES=\"${names}\"")
  target_link_libraries(_cuda PRIVATE ${PURECERT_CUDART} ${CMAKE_DL_LIBS} pthread rt)
  install(TARGETS _cuda LIBRARY DESTINATION purecert)
endfunction()

if(PURECERT_CUDA STREQUAL "off")
  message(STATUS "purecert: the CUDA kernels are left out (PURECERT_CUDA=off)")
else()
  find_cuda(reason)
  if(reason STREQUAL "")
    message(STATUS "purecert: CUDA kernels for ${PURECERT_CUDA_CHOSEN} with ${PURECERT_NVCC}")
    add_cuda_module()
  elseif(PURECERT_CUDA STREQUAL "on")
    message(FATAL_ERROR "purecert: PURECERT_CUDA=on, but ${reason}")
  else()
    message(NOTICE "purecert: the CUDA kernels are left out: ${reason}")
  endif()
endif()
