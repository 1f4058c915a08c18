# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For checks written in bash, which source it: counts results, prints them as "WORD: ok NAME", and
# runs commands in parallel.
#   results_begin WORD FOLDER       sets WORD, and the folder for the output of parallel commands
#   result NAME CODE                0: passed, 77: skipped, else failed
#   try NAME SECONDS COMMAND...     runs a command; SECONDS only ends one that hangs, so it is far
#                                   above what a busy host needs
#   later NAME SECONDS COMMAND...   starts a command in parallel with others, at most one a CPU
#   settle                          waits for those; prints output and results in starting order
#   results_end                     settles and prints the counts; returns the status of the check
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
