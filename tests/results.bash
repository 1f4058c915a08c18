# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by checks that are written in bash: results as lines "WORD: ok NAME", counted, and commands side by side.
#   results_begin WORD FOLDER         whose results these are; where the output of what runs side by side is kept
#   result NAME CODE                  0: passed, 77: skipped, else failed
#   try NAME SECONDS COMMAND...       runs it now; the limit is for what hangs, and far above what a busy host needs
#   later NAME SECONDS COMMAND...     runs it beside others, at most one a CPU
#   settle                            waits for those, and tells their output and results in the order they were named
#   results_end                       settles, tells the counts; its status is the check's
passed=0
failed=0
skipped=0
later_names=()

results_begin() {
    results_word=$1
    results_folder=$2
}

result() {
    case $2 in
    0) passed=$((passed + 1)); echo "$results_word: ok       $1" ;;
    77) skipped=$((skipped + 1)); echo "$results_word: skipped  $1" ;;
    *) failed=$((failed + 1)); echo "$results_word: FAILED   $1" ;;
    esac
}

try() {
    local name=$1 limit=$2
    shift 2
    timeout "$limit" "$@" </dev/null
    result "$name" $?
}

later() {
    local name=$1 limit=$2 at=$results_folder/later-${#later_names[@]}
    shift 2
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    later_names+=("$name")
    rm -f "$at".code
    { timeout "$limit" "$@" </dev/null >"$at".log 2>&1; echo $? >"$at".code; } &
}

settle() {
    local i
    wait
    for i in "${!later_names[@]}"; do
        cat "$results_folder/later-$i.log"
        result "${later_names[$i]}" "$(cat "$results_folder/later-$i.code")"
        rm -f "$results_folder/later-$i".{log,code}
    done
    later_names=()
}

results_end() {
    settle
    echo "$results_word: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}
