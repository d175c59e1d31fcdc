use super::*;

#[test]
fn expressions_are_read_out() {
    let rows = [
        ("rate(1 minute)", "every minute", "cada minuto"),
        ("rate(5 minutes)", "every 5 minutes", "cada 5 minutos"),
        ("rate(1 hours)", "every hour", "cada hora"),
        ("rate(7 days)", "every 7 days", "cada 7 días"),
        (
            "at(2026-12-31T23:59:59)",
            "once, on 31 December 2026 at 23:59:59",
            "una vez, el 31 de diciembre de 2026 a las 23:59:59",
        ),
        ("at(2026-03-01T01:30:00)", "once, on 1 March 2026 at 01:30", "una vez, el 1 de marzo de 2026 a la 01:30"),
        // Times.
        ("cron(* * * * ? *)", "every minute", "cada minuto"),
        ("cron(*/5 * * * ? *)", "every 5 minutes", "cada 5 minutos"),
        ("cron(0 * * * ? *)", "every hour", "cada hora"),
        ("cron(15 * * * ? *)", "every hour at minute 15", "cada hora en el minuto 15"),
        ("cron(0 */2 * * ? *)", "every 2 hours", "cada 2 horas"),
        (
            "cron(15 */2 * * ? *)",
            "every 2 hours from 00:15 to 22:15 every day",
            "cada 2 horas de 00:15 a 22:15 todos los días",
        ),
        ("cron(0 9 * * ? *)", "at 09:00 every day", "a las 09:00 todos los días"),
        ("cron(0 1,13 * * ? *)", "at 01:00 and 13:00 every day", "a la 01:00 y a las 13:00 todos los días"),
        (
            "cron(0 8-17 * * ? *)",
            "every hour from 08:00 to 17:00 every day",
            "cada hora de 08:00 a 17:00 todos los días",
        ),
        (
            "cron(0 0-12,17 * * ? *)",
            "every hour from 00:00 to 12:00 and at 17:00 every day",
            "cada hora de 00:00 a 12:00 y a las 17:00 todos los días",
        ),
        (
            "cron(0 20-7 * * ? *)",
            "every hour from 20:00 to 07:00 every day",
            "cada hora de 20:00 a 07:00 todos los días",
        ),
        ("cron(3,40 * * * ? *)", "at minutes 3 and 40 of every hour", "en los minutos 3 y 40 de cada hora"),
        (
            "cron(0-15 9 * * ? *)",
            "every minute from 09:00 to 09:15 every day",
            "cada minuto de 09:00 a 09:15 todos los días",
        ),
        (
            "cron(1-5 9-16 * * ? *)",
            "every minute from minute 1 to minute 5 of hours 9 to 16 every day",
            "cada minuto del minuto 1 al minuto 5 de las horas 9 a 16 todos los días",
        ),
        (
            "cron(*/7 * * * ? *)",
            "every 7 minutes from minute 0 to minute 56 of every hour",
            "cada 7 minutos del minuto 0 al minuto 56 de cada hora",
        ),
        // The small hours of a day that is named are its own, so that a wrapped range is two.
        (
            "cron(0/30 20-2 ? * MON-FRI *)",
            "every 30 minutes from 00:00 to 02:30 and from 20:00 to 23:30, Monday to Friday",
            "cada 30 minutos de 00:00 a 02:30 y de 20:00 a 23:30, de lunes a viernes",
        ),
        // Days.
        ("cron(0 9 ? * MON-FRI *)", "at 09:00, Monday to Friday", "a las 09:00, de lunes a viernes"),
        ("cron(0 9 ? * MON *)", "at 09:00 on Mondays", "a las 09:00 los lunes"),
        ("cron(0 9 ? * L *)", "at 09:00 on Saturdays", "a las 09:00 los sábados"),
        (
            "cron(0 9 ? * MON,WED,FRI *)",
            "at 09:00 on Mondays, Wednesdays and Fridays",
            "a las 09:00 los lunes, miércoles y viernes",
        ),
        ("cron(0 9 ? * SAT-SUN *)", "at 09:00 on Saturdays and Sundays", "a las 09:00 los sábados y domingos"),
        ("cron(0 9 ? * FRI-MON *)", "at 09:00, Friday to Monday", "a las 09:00, de viernes a lunes"),
        (
            "cron(0 9 ? * TUE,THU-SAT *)",
            "at 09:00, Tuesday and Thursday to Saturday",
            "a las 09:00, los martes y de jueves a sábado",
        ),
        ("cron(0 9 ? * SUN-SAT *)", "at 09:00 every day", "a las 09:00 todos los días"),
        ("cron(0 9 1 * ? *)", "at 09:00 on the 1st of the month", "a las 09:00 el día 1 de cada mes"),
        (
            "cron(0 9 2,23 * ? *)",
            "at 09:00 on the 2nd and 23rd of the month",
            "a las 09:00 los días 2 y 23 de cada mes",
        ),
        (
            "cron(0 9 1-7,15 * ? *)",
            "at 09:00, from the 1st to the 7th and on the 15th of the month",
            "a las 09:00, del 1 al 7 y el 15 de cada mes",
        ),
        (
            "cron(0 9 */2 * ? *)",
            "at 09:00, every 2 days from the 1st to the 31st of the month",
            "a las 09:00, cada 2 días del 1 al 31 de cada mes",
        ),
        ("cron(0 9 L * ? *)", "at 09:00 on the last day of the month", "a las 09:00 el último día del mes"),
        (
            "cron(0 9 L-1 * ? *)",
            "at 09:00 on the day before the last of the month",
            "a las 09:00 el penúltimo día del mes",
        ),
        (
            "cron(0 9 L-3 * ? *)",
            "at 09:00, 3 days before the last day of the month",
            "a las 09:00, 3 días antes del último día del mes",
        ),
        ("cron(0 9 LW * ? *)", "at 09:00 on the last weekday of the month", "a las 09:00 el último día hábil del mes"),
        (
            "cron(0 12 15W * ? *)",
            "at 12:00 on the weekday nearest the 15th",
            "a las 12:00 el día hábil más cercano al 15",
        ),
        ("cron(0 12 ? * 6L *)", "at 12:00 on the last Friday of the month", "a las 12:00 el último viernes del mes"),
        (
            "cron(0 12 ? * 3#2 *)",
            "at 12:00 on the second Tuesday of the month",
            "a las 12:00 el segundo martes del mes",
        ),
        // Months and years.
        ("cron(0 0 1 1 ? *)", "at 00:00 on the 1st of January", "a las 00:00 el día 1 de enero"),
        (
            "cron(0 0 1 */3 ? *)",
            "at 00:00 on the 1st of January, April, July and October",
            "a las 00:00 el día 1 de enero, abril, julio y octubre",
        ),
        (
            "cron(0 0 L 4-9 ? *)",
            "at 00:00 on the last day of each month from April to September",
            "a las 00:00 el último día de cada mes de abril a septiembre",
        ),
        (
            "cron(0 0 15W 2 ? *)",
            "at 00:00 on the weekday nearest the 15th of February",
            "a las 00:00 el día hábil más cercano al 15 de febrero",
        ),
        (
            "cron(0 0 * NOV-FEB ? *)",
            "at 00:00 every day, from November to February",
            "a las 00:00 todos los días, de noviembre a febrero",
        ),
        ("cron(0 0 ? JAN MON 2026)", "at 00:00 on Mondays in January 2026", "a las 00:00 los lunes en enero de 2026"),
        ("cron(0 0 1 1 ? 2026)", "at 00:00 on the 1st of January 2026", "a las 00:00 el día 1 de enero de 2026"),
        (
            "cron(0 0 * * ? 2024,2026)",
            "at 00:00 every day in 2024 and 2026",
            "a las 00:00 todos los días en 2024 y 2026",
        ),
        (
            "cron(15 10 ? * 6L 2019-2022)",
            "at 10:15 on the last Friday of the month, from 2019 to 2022",
            "a las 10:15 el último viernes del mes, de 2019 a 2022",
        ),
        (
            "cron(0 0 * * ? */4)",
            "at 00:00 every day, every 4 years from 1970 to 2198",
            "a las 00:00 todos los días, cada 4 años de 1970 a 2198",
        ),
        (
            "cron(0 0 * * ? 1970/4,1971)",
            "at 00:00 every day, in 59 of the years from 1970 to 2198",
            "a las 00:00 todos los días, en 59 de los años de 1970 a 2198",
        ),
    ];
    for (text, english, spanish) in rows {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.describe(Language::English), english, "{text}");
        assert_eq!(expression.describe(Language::Spanish), spanish, "{text}");
    }
}
