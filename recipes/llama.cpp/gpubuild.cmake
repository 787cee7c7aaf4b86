# gpubuild's additions to llama.cpp's own CMake project, injected with CMAKE_PROJECT_TOP_LEVEL_INCLUDES, so that
# upstream's files stay as they are. Everything happens after upstream's last line has run.
#
#   GPUBUILD_PROGRAMS       executables of the runtime wheel; those a source does not have are left out
#   GPUBUILD_BACKEND        name of the GPU backend's target (ggml-cuda, ggml-hip, ggml-vulkan), or empty
#   GPUBUILD_BACKEND_RPATH  where the installed backend module finds its vendor libraries
#   GPUBUILD_BACKEND_RPATH_FOR_ALL  ON: the libraries that they need are looked for there, too (DT_RPATH, not DT_RUNPATH)
#   GPUBUILD_TOGETHER       folders whose small C++ files are compiled several at a time
#   GPUBUILD_SLOW_FIRST     file name endings of slow sources, slowest first: Ninja starts equal edges in file order

# CPU modules that a wheel must not carry. sapphirerapids uses AMX tiles: on a virtual machine whose hypervisor shows AMX but
# does not enable it, ggml picks it and dies of an illegal instruction (seen 2026-11 on a Xeon guest, ggml 0.25.3, tilezero
# in ggml_backend_amx_mul_mat). The next best module, cooperlake, ran there at the full speed of the others.
set(GPUBUILD_LEFT_OUT ggml-cpu-sapphirerapids)

set(GPUBUILD_RECIPE "${CMAKE_CURRENT_LIST_DIR}")

if(NOT CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    return()
endif()

# What a binary says about its sources (assertions quote __FILE__) must not depend on where it was built.
# The build directory is not mapped: its name would be part of every command, and no other build would find the object in
# the compiler cache. Nothing quotes it, since Ninja's commands name objects relative to it.
if(UNIX)
    set(map "${CMAKE_SOURCE_DIR}=llama.cpp")
    # nvcc parts what it forwards to the host compiler at every space (seen with 13.0).
    string(REPLACE " " "\\ " nvcc_map "${map}")
    add_compile_options(
        "$<$<COMPILE_LANG_AND_ID:C,GNU,Clang>:-ffile-prefix-map=${map}>"
        "$<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>:-ffile-prefix-map=${map}>"
        "$<$<COMPILE_LANG_AND_ID:HIP,Clang>:-ffile-prefix-map=${map}>"
        "$<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-ffile-prefix-map=${nvcc_map}>")
endif()

# All targets below DIRECTORY.
function(gpubuild_all_targets directory out)
    get_property(found DIRECTORY "${directory}" PROPERTY BUILDSYSTEM_TARGETS)
    get_property(children DIRECTORY "${directory}" PROPERTY SUBDIRECTORIES)
    foreach(child IN LISTS children)
        gpubuild_all_targets("${child}" below)
        list(APPEND found ${below})
    endforeach()
    set(${out} "${found}" PARENT_SCOPE)
endfunction()

# The shared libraries of this project that TARGET links, directly or through others.
function(gpubuild_shared_closure target out)
    set(pending "${target}")
    set(seen "")
    set(shared "")
    while(pending)
        list(POP_FRONT pending current)
        if(current IN_LIST seen OR NOT TARGET "${current}")
            continue()
        endif()
        list(APPEND seen "${current}")
        get_target_property(original "${current}" ALIASED_TARGET)
        if(original)
            list(APPEND pending "${original}")
            continue()
        endif()
        get_target_property(kind "${current}" TYPE)
        get_target_property(imported "${current}" IMPORTED)
        if(imported)
            continue()
        endif()
        if(kind STREQUAL "SHARED_LIBRARY")
            list(APPEND shared "${current}")
        endif()
        foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
            if(kind STREQUAL "INTERFACE_LIBRARY" AND property STREQUAL "LINK_LIBRARIES")
                continue()
            endif()
            get_target_property(linked "${current}" ${property})
            if(linked)
                # $<LINK_ONLY:x> and friends: keep the name inside
                list(TRANSFORM linked REPLACE "^\\$<(LINK_ONLY|BUILD_INTERFACE):([^<>]+)>$" "\\2")
                list(APPEND pending ${linked})
            endif()
        endforeach()
    endwhile()
    set(${out} "${shared}" PARENT_SCOPE)
endfunction()

# One directory holds programs, libraries and modules side by side: ggml looks for its modules beside the program.
# A wheel cannot hold symbolic links, so libraries carry their plain names.
function(gpubuild_install component rpath)
    foreach(target IN LISTS ARGN)
        set_property(TARGET ${target} PROPERTY VERSION)
        set_property(TARGET ${target} PROPERTY SOVERSION)
        set_property(TARGET ${target} PROPERTY PUBLIC_HEADER)
        set_property(TARGET ${target} PROPERTY PRIVATE_HEADER)
        set_property(TARGET ${target} PROPERTY INSTALL_RPATH "${rpath}")
        set_property(TARGET ${target} PROPERTY BUILD_WITH_INSTALL_RPATH ON)
        install(TARGETS ${target}
            RUNTIME DESTINATION . COMPONENT ${component}
            LIBRARY DESTINATION . COMPONENT ${component})
    endforeach()
endfunction()

function(gpubuild_slow_first target)
    get_target_property(sources ${target} SOURCES)
    set(ordered "")
    foreach(ending IN LISTS GPUBUILD_SLOW_FIRST)
        string(REGEX REPLACE "([][+.*()^$?\\|])" "\\\\\\1" pattern "${ending}")
        set(matching ${sources})
        list(FILTER matching INCLUDE REGEX "(^|/)${pattern}$")
        list(APPEND ordered ${matching})
    endforeach()
    list(APPEND ordered ${sources})
    list(REMOVE_DUPLICATES ordered)
    set_property(TARGET ${target} PROPERTY SOURCES ${ordered})
endfunction()

# Small files spend their time in the headers they share. Only in folders that the recipe names, for trees it was tried with:
# files that define the same name cannot be compiled together.
function(gpubuild_together target)
    get_target_property(sources ${target} SOURCES)
    get_target_property(directory ${target} SOURCE_DIR)
    if(NOT sources)
        return()
    endif()
    set(taken 0)
    foreach(source IN LISTS sources)
        get_filename_component(path "${source}" ABSOLUTE BASE_DIR "${directory}")
        get_filename_component(folder "${path}" DIRECTORY)
        file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${folder}")
        if(path MATCHES "\\.cpp$" AND folder IN_LIST GPUBUILD_TOGETHER)
            math(EXPR group "${taken} / 8")
            math(EXPR taken "${taken} + 1")
            set_property(SOURCE "${path}" TARGET_DIRECTORY ${target} PROPERTY UNITY_GROUP "together_${group}")
        endif()
    endforeach()
    if(taken)
        set_property(TARGET ${target} PROPERTY UNITY_BUILD ON)
        set_property(TARGET ${target} PROPERTY UNITY_BUILD_MODE GROUP)
    endif()
endfunction()

# Without flash attention upstream still compiles its kernels' instances, with empty bodies: more than a quarter of the
# files, a tenth of the time. Where fattn.cu says at once that there is no kernel, nothing calls them (seen in its object file with
# GCC; it links with GCC 12, clang 16 and ROCm 7.0's clang), and the linker is told to make sure of that.
function(gpubuild_without_attention target)
    get_target_property(sources ${target} SOURCES)
    get_target_property(directory ${target} SOURCE_DIR)
    get_directory_property(definitions DIRECTORY "${directory}" COMPILE_DEFINITIONS)
    set(attention ${sources})
    list(FILTER attention INCLUDE REGEX "(^|/)fattn\\.cu$")
    if(NOT "GGML_CUDA_NO_FA" IN_LIST definitions OR NOT attention OR NOT UNIX)
        return()
    endif()
    get_filename_component(path "${attention}" ABSOLUTE BASE_DIR "${directory}")
    file(READ "${path}" text)
    if(NOT text MATCHES "#ifndef FLASH_ATTN_AVAILABLE[^#]*return BEST_FATTN_KERNEL_NONE;")
        return()
    endif()
    list(FILTER sources EXCLUDE REGEX "(^|/)fattn-[^/]*\\.cu$")
    set_property(TARGET ${target} PROPERTY SOURCES ${sources})
    target_link_options(${target} PRIVATE "LINKER:-z,defs")
endfunction()

# Give every source of TARGET whose path matches PATTERN an option; in it @name@ is the path inside the tree, @md5@ its sum.
function(gpubuild_option_by_name target pattern option)
    get_target_property(sources ${target} SOURCES)
    get_target_property(directory ${target} SOURCE_DIR)
    list(FILTER sources INCLUDE REGEX "${pattern}")
    foreach(source IN LISTS sources)
        get_filename_component(path "${source}" ABSOLUTE BASE_DIR "${directory}")
        file(RELATIVE_PATH name "${CMAKE_SOURCE_DIR}" "${path}")
        string(MD5 md5 "llama.cpp/${name}")
        string(REPLACE "@md5@" "${md5}" own "${option}")
        string(REPLACE "@name@" "llama.cpp/${name}" own "${own}")
        set_property(SOURCE "${path}" TARGET_DIRECTORY ${target} APPEND PROPERTY COMPILE_OPTIONS "${own}")
    endforeach()
endfunction()

# nvcc names internal symbols of device code by a checksum of the source's absolute path, so that the same kernels would
# differ with the place they were built in; -frandom-seed does not change that (seen with 13.0). cudafe++ takes the path as
# an option, and the last one wins. An nvcc that does not use it is left alone.
function(gpubuild_module_ids target)
    execute_process(
        COMMAND "${CMAKE_CUDA_COMPILER}" "-ccbin=${CMAKE_CUDA_HOST_COMPILER}" --dryrun -x cu
            -c "${GPUBUILD_RECIPE}/gpubuild-backends.cpp" -o gpubuild.o
        OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(NOT said MATCHES "--orig_src_path_name")
        message(STATUS "gpubuild: this nvcc takes no path for its module ids; the build is reproducible in one place only")
        return()
    endif()
    gpubuild_option_by_name(${target} "\\.cu$" "-Xcudafe=--orig_src_path_name=@name@")
endfunction()

# clang gives each source of device code an id that becomes part of symbols (__hip_cuid_..., external names of static variables):
# a hash of its absolute path and of the command, which differ with the place (seen with 21). It takes the id as an option.
function(gpubuild_unit_ids target)
    gpubuild_option_by_name(${target} "\\.(cu|hip)$" "$<$<COMPILE_LANG_AND_ID:HIP,Clang>:-cuid=@md5@>")
endfunction()

function(gpubuild_finish)
    gpubuild_all_targets("${CMAKE_SOURCE_DIR}" all)
    set(runtime "")
    foreach(program IN LISTS GPUBUILD_PROGRAMS)
        if(TARGET ${program})
            gpubuild_shared_closure(${program} libraries)
            list(APPEND runtime ${program} ${libraries})
        else()
            message(STATUS "gpubuild: this source has no ${program}")
        endif()
    endforeach()
    foreach(target IN LISTS all)
        if(target MATCHES "^ggml-cpu" AND NOT target IN_LIST GPUBUILD_LEFT_OUT)
            get_target_property(kind ${target} TYPE)
            if(kind STREQUAL "MODULE_LIBRARY")
                list(APPEND runtime ${target})
            endif()
        endif()
    endforeach()
    if(UNIX)
        add_library(gpubuild-backends MODULE "${GPUBUILD_RECIPE}/gpubuild-backends.cpp")
        target_link_libraries(gpubuild-backends PRIVATE ggml ggml-base)
        list(APPEND runtime gpubuild-backends)
    endif()
    list(REMOVE_DUPLICATES runtime)
    if(GPUBUILD_TOGETHER)
        foreach(target IN LISTS all)
            gpubuild_together(${target})
        endforeach()
    endif()
    gpubuild_install(gpubuild_runtime "$ORIGIN" ${runtime})
    add_custom_target(gpubuild_runtime DEPENDS ${runtime})
    if(GPUBUILD_BACKEND)
        if(NOT TARGET ${GPUBUILD_BACKEND})
            message(FATAL_ERROR "gpubuild: upstream made no target ${GPUBUILD_BACKEND}; its messages above say why")
        endif()
        if(GPUBUILD_BACKEND MATCHES "^ggml-(cuda|hip)$")
            gpubuild_without_attention(${GPUBUILD_BACKEND})
        endif()
        gpubuild_slow_first(${GPUBUILD_BACKEND})
        if(GPUBUILD_BACKEND STREQUAL "ggml-cuda")
            gpubuild_module_ids(${GPUBUILD_BACKEND})
        elseif(GPUBUILD_BACKEND STREQUAL "ggml-hip")
            gpubuild_unit_ids(${GPUBUILD_BACKEND})
        endif()
        gpubuild_install(gpubuild_backend "${GPUBUILD_BACKEND_RPATH}" ${GPUBUILD_BACKEND})
        if(GPUBUILD_BACKEND_RPATH_FOR_ALL)
            target_link_options(${GPUBUILD_BACKEND} PRIVATE "LINKER:--disable-new-dtags")
        endif()
        add_custom_target(gpubuild_backend DEPENDS ${GPUBUILD_BACKEND})
    endif()
endfunction()

cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL gpubuild_finish)
