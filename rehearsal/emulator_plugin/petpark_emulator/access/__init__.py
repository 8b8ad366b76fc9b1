"""Access control: AWS refuses what no policy allows; LocalStack's community core allows everything.

`policy` reads and evaluates policy documents, `questions` says what a request asks for, `identities` who asks, and
`enforcement` refuses. What petpark's own policies use is evaluated exactly; a policy that uses anything else is refused
when it is written, so that nothing is ignored in silence.
"""
