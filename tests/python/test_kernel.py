"""jupyter_kernel_test: the messages of the protocol, each validated against its schema."""

import jupyter_kernel_test


class OxilabKernelTests(jupyter_kernel_test.KernelTests):
    kernel_name = "oxilab"
    language_name = "rust"
    file_extension = ".rs"

    code_hello_world = 'println!("hello, world")'
    code_stderr = 'eprintln!("careful")'
    code_generate_error = 'panic!("on purpose")'
    code_execute_result = [
        {"code": "1 + 1", "result": "2"},
        # The history is the user's, so the pattern below must fit nothing else in it.
        {"code": "17 + 2_025 // jupyter_kernel_test", "result": "2042"},
        {"code": '"text"', "result": '"text"'},
        {"code": "vec![1, 2, 3]", "result": "[1, 2, 3]"},
        {"code": 'df!("a" => [1, 2])?', "mime": "text/html"},
    ]
    code_display_data = [
        {"code": 'display(&html("<b>bold</b>"));', "mime": "text/html"},
        {"code": 'display(&markdown("**bold**"));', "mime": "text/markdown"},
    ]
    code_clear_output = "println!(\"gone\"); clear(false);"
    completion_samples = [
        {"text": "std::collections::Hash", "matches": {"HashMap", "HashSet"}},
        {"text": "df!(\"a\" => [1])?.hei", "matches": {"height"}},
        {"text": "train_test_sp", "matches": {"train_test_split"}},
        {"text": "%tim", "matches": {"time", "timeit", "timing"}},
    ]
    code_inspect_sample = "DataFrame"
    code_page_something = "DataFrame?"
    complete_code_samples = ["1 + 1", "let x = 1;", "fn f() -> u8 { 1 }", "// only a comment"]
    incomplete_code_samples = ["fn f() {", "let x = vec![1,", "if true {", '"open']
    invalid_code_samples = ["fn f() }", "let x = );"]
    code_history_pattern = "17 ? 2_02* // jupyter_kernel_test"
    supported_history_operations = ("tail", "range", "search")


class OxilabIopubWelcomeTests(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "oxilab"
    support_iopub_welcome = True
